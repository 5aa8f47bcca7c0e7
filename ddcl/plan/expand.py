"""From suite files to what they ask for together: runs, evaluations, perturbations, tables, figures, claims, pictures.

Imports no torch: Snakemake reads it at every start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from ddcl.base.errors import UserError, check_name
from ddcl.schema.claims import ClaimSpec, read_claim
from ddcl.schema.encoders import read_encoder
from ddcl.schema.figures import WORDS, with_differences
from ddcl.schema.marks import Group
from ddcl.schema.metrics import ACCURACY
from ddcl.schema.names import CLEAN, NO_AUGMENTATION
from ddcl.schema.op_recipes import PerturbationRecipe, read_perturbations
from ddcl.schema.pictures import read_picture
from ddcl.schema.places import config_names, config_path
from ddcl.schema.recipes import EvaluationRecipe, Recipe, build_recipe, encoder_recipe, read_dataset, read_evaluation
from ddcl.schema.registry import EVALUATIONS, READERS, EvaluationEntry, protocol_of
from ddcl.schema.suites import BlockConfig, RandomSubsetsConfig, SuiteConfig, read_suite
from ddcl.schema.tables import TableSpec, read_table
from ddcl.schema.training import TrainingConfig
from ddcl.schema.tuning import Setting, TuningConfig, budget_of
from ddcl.schema.variants import group_of, read_variant

Words = tuple[str, str, Group]  # of a run: label, published_as, group


@dataclass
class Run:
    """A run of the suite, and what it is evaluated by: {data set: {evaluation: perturbations}}."""

    recipe: Recipe
    label: str
    published_as: str  # variant whose published numbers stand beside the run's
    group: Group  # the table that it stands in
    subsets: RandomSubsetsConfig | None
    evaluations: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, dataset: str, evaluation: str, perturbations: list[str]) -> None:
        """Ask for an evaluation on a data set; perturbations of several blocks are united."""
        known = self.evaluations.setdefault(dataset, {}).setdefault(evaluation, [])
        known += [name for name in perturbations if name not in known]


def _check_names(folder: str, names: Sequence[str] | None, where: str) -> None:
    """Raise `UserError` for a name that config/`folder` does not have. where: the names stand, for the message."""
    known = config_names(folder) if names else []
    for name in names or ():
        check_name(folder.removesuffix("s"), name, known, where)


def _check_block(block: BlockConfig, where: str) -> None:
    for key in ("datasets", "encoders", "evaluations", "perturbations"):
        _check_names(key, getattr(block, key), f"{where}.{key}")
    trained = [name for name in block.augmentations if name != NO_AUGMENTATION]
    _check_names("augmentations", trained, f"{where}.augmentations")
    for item in block.transfer:
        _check_names("datasets", item.to, f"{where}.transfer")
        _check_names("evaluations", item.evaluations, f"{where}.transfer")


class Expansion:
    """What a suite and those that it includes ask for, each thing once. Whatever cannot be is a `UserError`.

    config: the parsed suite file.
    where: where it comes from, for messages.
    labels: how evaluations and perturbations are printed, by kind.
    """

    def __init__(self, config: SuiteConfig, where: str) -> None:
        self.runs: dict[str, Run] = {}
        self.evaluations: dict[str, EvaluationRecipe] = {}
        self.perturbations: dict[str, PerturbationRecipe] = {}
        self.labels: dict[str, dict[str, str]] = {"evaluation": {}, "perturbation": {}}
        self.tables: dict[str, TableSpec] = {}
        self.figures: list[str] = []
        self.claims: dict[str, ClaimSpec] = {}
        self.planned_half_widths: dict[str, dict[str, float]] = {}
        self.pictures: list[str] = []
        self._add(config, where)

    def protocol(self, evaluation: str) -> EvaluationEntry:
        """Return the registry's entry of an evaluation."""
        return EVALUATIONS[self.evaluations[evaluation].protocol]

    def _add(self, config: SuiteConfig, where: str, chain: tuple[str, ...] = ()) -> None:
        """Add the suites that `config` includes, then its own blocks, tables and figures."""
        for key in ("tables", "claims", "pictures", "evaluations", "perturbations"):
            _check_names(key, getattr(config, key), f"{where}: {key}")
        _check_names("suites", config.include, f"{where}: include")
        for name in config.include:
            path = config_path("suites", name)
            if name in chain:
                raise UserError(f"{path}: circular include: {' -> '.join((*chain, name))}")
            self._add(read_suite(path), str(path), (*chain, name))
        for place, block in enumerate(config.runs):
            _check_block(block, f"{where}: runs.{place}")
            self._add_block(block, config, where)
        if config.tuning:
            self._add_tuning(config.tuning, config, where)
        for figure in config.figures:
            check_name("figure", figure, WORDS, f"{where}: figures")
        self.figures += [figure for figure in with_differences(config.figures) if figure not in self.figures]
        self.tables |= {name: read_table(name) for name in config.tables if name not in self.tables}
        self.claims |= {name: read_claim(name) for name in config.claims if name not in self.claims}
        for row, planned in config.planned_half_widths.items():
            self.planned_half_widths.setdefault(row, {}).update(planned)
        self.pictures += [name for name in config.pictures if read_picture(name) and name not in self.pictures]

    def _add_tuning(self, tuning: TuningConfig, config: SuiteConfig, where: str) -> None:
        """Add the runs of every setting; `UserError` where test images would choose, or budgets differ."""
        dataset = read_dataset(tuning.dataset)
        if dataset.holdout is None and not dataset.for_tuning:
            raise UserError(
                f"{where}: tuning: dataset {tuning.dataset} has no `holdout`, so settings would be chosen on its "
                f"test images; name one that has it, such as a copy with `base: {tuning.dataset}` and `holdout`, or "
                "one made for tuning (`for_tuning: true`)"
            )
        for variant in tuning.grids:
            block = BlockConfig(
                datasets=[tuning.dataset],
                variants=[variant],
                augmentations=tuning.augmentations,
                seeds=tuning.seeds,
                evaluations=[tuning.evaluation],
                perturbations=[CLEAN],
            )
            for setting in tuning.settings(variant):
                self._add_block(block, config, where, setting)
        check_budgets(tuning, {run.recipe.variant: run.recipe.training for run in self.runs.values()}, where)
        if ACCURACY not in self.protocol(tuning.evaluation).metrics:
            raise UserError(f"{where}: tuning: evaluation {tuning.evaluation} gives no {ACCURACY.name} to choose by")

    def _add_block(self, block: BlockConfig, config: SuiteConfig, where: str, setting: Setting | None = None) -> None:
        evaluations = config.evaluations if block.evaluations is None else block.evaluations
        named = config.perturbations if block.perturbations is None else block.perturbations
        perturbations = [member for name in named for member in self._read_perturbations(name, config.draws, where)]
        wanted = [*product(block.datasets, evaluations)]
        wanted += [pair for item in block.transfer for pair in product(item.to, item.evaluations)]
        for dataset, name in wanted:
            self.labels["evaluation"][name], self.evaluations[name] = read_evaluation(name)
            self._check_evaluation(dataset, name, config.random_subsets, where)
        if not evaluations or CLEAN not in perturbations:
            missing = (
                f"{CLEAN!r} in perturbations: the clean images are the reference" if evaluations else "evaluations"
            )
            raise UserError(f"{where}: runs: a block needs {missing}, its own or the suite's")
        for first, words in self._arms(block, setting, where):
            dataset = first.dataset
            _ = first.arm_digest  # computed here, once: the copies for other seeds keep it
            for seed in block.seeds:
                run = self._add_run(first.model_copy(update={"seed": seed}), words, config.random_subsets, where)
                for evaluation in evaluations:
                    self._ask(run, dataset, evaluation, self._under(evaluation, perturbations))
                for item in block.transfer:
                    for target, evaluation in product(item.to, item.evaluations):
                        self._ask(run, target, evaluation, [CLEAN])

    def _arms(self, block: BlockConfig, setting: Setting | None, where: str) -> Iterator[tuple[Recipe, Words]]:
        """Yield the recipe of each arm's first seed, and its words."""
        for dataset, variant, augmentation in product(block.datasets, block.variants, block.augmentations):
            names = (dataset, variant, augmentation)
            of_dataset = read_dataset(dataset)
            own = read_variant(of_dataset, variant, {}, block.authors, setting)
            recipe = build_recipe(names, block.seeds[0], block.overrides, block.authors, setting)
            group: Group = "control" if block.authors else group_of(of_dataset, variant, own)
            yield recipe, (own.label, own.published_as or variant, group)
        for encoder in block.encoders:
            config = read_encoder(encoder)
            for dataset in block.datasets if config.features is None else [config.features.dataset]:
                check_name("data set", dataset, block.datasets, f"{where}: runs: encoder {encoder}: features of")
                words: Words = config.full_label, encoder, "elsewhere"
                yield encoder_recipe(dataset, encoder, block.seeds[0]), words

    def _ask(self, run: Run, dataset: str, evaluation: str, perturbations: list[str]) -> None:
        """Ask for an evaluation of a run; of an encoder that is not here, for what its features allow."""
        given = run.recipe.given_features
        if given:
            known = given.draws if dataset == given.dataset else {}
            perturbations = [
                name for name in perturbations if name == CLEAN or known.get(name, 0) >= self.perturbations[name].draws
            ]
            if dataset != given.dataset or not protocol_of(run.recipe.method, self.evaluations[evaluation].protocol):
                return
        run.add(dataset, evaluation, perturbations)

    def _check_evaluation(self, dataset: str, name: str, asked: RandomSubsetsConfig | None, where: str) -> None:
        """Raise `UserError` if an evaluation needs what the suite does not ask for, or the data set does not have."""
        needed = self.protocol(name).min_random_draws
        if (asked.draws if asked else 0) < needed:
            found = f"{asked.draws} draws" if asked else "none"
            raise UserError(f"{where}: random_subsets: evaluation {name} needs {needed} draws, found {found}")
        if self.protocol(name).needs_factors and not READERS[read_dataset(dataset).reader].factors:
            known = ", ".join(reader for reader, entry in READERS.items() if entry.factors)
            raise UserError(
                f"{where}: evaluation {name} needs images whose true factors are known, but data set {dataset} "
                f"has none; readers that know them: {known}"
            )

    def _read_perturbations(self, name: str, draws: int, where: str) -> list[str]:
        members = read_perturbations(name, draws)
        if len(members) > 1:
            self.labels["perturbation"][name] = name.replace("_", " ")
        for member, (label, recipe) in members.items():
            if self.perturbations.setdefault(member, recipe) != recipe:
                raise UserError(f"{where}: perturbation {member} is in two suites with different numbers of draws")
            self.labels["perturbation"][member] = label
        return list(members)

    def _under(self, evaluation: str, perturbations: list[str]) -> list[str]:
        """Return those of the perturbations that an evaluation is made under."""
        under = self.evaluations[evaluation].under
        if under == "clean" or not self.protocol(evaluation).perturbed:
            return [CLEAN]
        return [name for name in perturbations if under == "all" or not self.perturbations[name].family]

    def _add_run(self, recipe: Recipe, words: Words, subsets: RandomSubsetsConfig | None, where: str) -> Run:
        run = self.runs.setdefault(recipe.name, Run(recipe, *words, subsets))
        if run.recipe != recipe:
            raise UserError(f"{where}: runs: {recipe.name} is in two blocks with different numbers")
        if run.subsets != subsets:
            raise UserError(f"{where}: runs: {recipe.name} is in two suites with different random_subsets")
        return run


def check_budgets(tuning: TuningConfig, training: Mapping[str, TrainingConfig], where: str) -> None:
    """Raise `UserError` unless every variant of a tuning suite gets as many settings and epochs as the others.

    training: the numbers of each setting's runs, by the setting's name.
    """
    epochs = {name: own.epochs + own.schedule.extra_warmup_epochs for name, own in training.items()}
    budgets = {variant: budget_of(tuning, variant, epochs) for variant in tuning.grids}
    if len({(each.settings, each.epochs) for each in budgets.values()}) > 1:
        found = ", ".join(f"{name} {each.settings} and {each.epochs}" for name, each in budgets.items())
        raise UserError(f"{where}: tuning.grids: variants must have equal budgets; settings and epochs are {found}")
