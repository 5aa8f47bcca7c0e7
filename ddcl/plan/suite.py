"""A suite's grid: which runs, evaluations and cells there are. Imports no torch: Snakemake reads it at every start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from ddcl.base.errors import UserError, check_name
from ddcl.base.files import canonical_json
from ddcl.base.yaml_files import parse, read_yaml
from ddcl.schema.claims import ClaimSpec, read_claim, read_statistics
from ddcl.schema.figures import WORDS
from ddcl.schema.names import CLEAN
from ddcl.schema.pictures import picture_entries, read_picture
from ddcl.schema.recipes import (
    CONFIG_DIR,
    NO_AUGMENTATION,
    EvaluationRecipe,
    PerturbationRecipe,
    Recipe,
    build_recipe,
    read_dataset,
    read_evaluation,
    read_ops,
    read_perturbations,
    read_variant,
)
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS, EvaluationEntry, has_cell, part_names
from ddcl.schema.suites import BlockConfig, RandomSubsetsConfig, SuiteConfig
from ddcl.schema.tables import TableSpec


@dataclass
class Run:
    """A run of the suite, and what it is evaluated by: {data set: {evaluation: perturbations}}."""

    recipe: Recipe
    label: str
    subsets: RandomSubsetsConfig | None
    evaluations: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, dataset: str, evaluation: str, perturbations: list[str]) -> None:
        """Ask for an evaluation on a data set; perturbations of several blocks are united."""
        known = self.evaluations.setdefault(dataset, {}).setdefault(evaluation, [])
        known += [name for name in perturbations if name not in known]


class Suite:
    """A checked suite. Everything is read and validated when it is built, so errors come before any job.

    config: the parsed suite file.
    where: where it comes from, for messages.
    """

    def __init__(self, config: dict[str, Any], where: str) -> None:
        self.config = parse(SuiteConfig, config, where)
        self.runs: dict[str, Run] = {}
        self.evaluations: dict[str, EvaluationRecipe] = {}
        self.perturbations: dict[str, PerturbationRecipe] = {}
        self.labels: dict[str, dict[str, str]] = {"evaluation": {}, "perturbation": {}}
        self.tables: dict[str, TableSpec] = {}
        self.figures: list[str] = []
        self.claims: dict[str, ClaimSpec] = {}
        self.pictures: list[str] = []
        self._add(self.config, where)
        names = (name for run in self.runs.values() for name in (run.recipe.dataset, *run.evaluations))
        self.dataset_configs = {name: read_dataset(name) for name in dict.fromkeys(names)}

    @classmethod
    def load(cls, path: Path) -> Suite:
        """Read the suite file `path`."""
        return cls(read_yaml(path), str(path))

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """The recipe of each run, by the run's name."""
        return {name: run.recipe for name, run in self.runs.items()}

    def protocol(self, evaluation: str) -> EvaluationEntry:
        """Return the registry's entry of an evaluation of the suite."""
        return EVALUATIONS[self.evaluations[evaluation].protocol]

    def parts(self, run: Run, evaluation: str) -> list[str]:
        """Return the parts of the features that an evaluation of a run gives cells for."""
        return part_names(METHODS[run.recipe.method], self.protocol(evaluation), run.subsets is not None)

    def features(self, run: Run, dataset: str) -> list[str]:
        """Return the perturbations under which features of a run on a data set are needed."""
        wanted = run.evaluations.get(dataset, {}).items()
        needed = (names for evaluation, names in wanted if "features" in self.protocol(evaluation).inputs)
        return list(dict.fromkeys(name for names in needed for name in names))

    def _add(self, config: SuiteConfig, where: str, chain: tuple[str, ...] = ()) -> None:
        """Add the suites that `config` includes, then its own blocks, tables and figures."""
        for name in config.include:
            path = CONFIG_DIR / "suites" / f"{name}.yaml"
            if name in chain:
                raise UserError(f"{path}: circular include: {' -> '.join((*chain, name))}")
            self._add(parse(SuiteConfig, read_yaml(path), str(path)), str(path), (*chain, name))
        for block in config.runs:
            self._add_block(block, config, where)
        for figure in config.figures:
            check_name("figure", figure, WORDS, f"{where}: figures")
        self.figures += [figure for figure in config.figures if figure not in self.figures]
        self.tables |= {name: read_table(name) for name in config.tables if name not in self.tables}
        self.claims |= {name: read_claim(name) for name in config.claims if name not in self.claims}
        self.pictures += [name for name in config.pictures if read_picture(name) and name not in self.pictures]

    def _add_block(self, block: BlockConfig, config: SuiteConfig, where: str) -> None:
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
        for dataset, variant, augmentation in product(block.datasets, block.variants, block.augmentations):
            first = build_recipe((dataset, variant, augmentation), block.seeds[0], block.overrides, block.authors)
            label = read_variant(read_dataset(dataset), variant, {}, block.authors).label
            for seed in block.seeds:
                run = self._add_run(first.model_copy(update={"seed": seed}), label, config.random_subsets, where)
                for evaluation in evaluations:
                    run.add(dataset, evaluation, self._under(evaluation, perturbations))
                for item in block.transfer:
                    for target, evaluation in product(item.to, item.evaluations):
                        run.add(target, evaluation, [CLEAN])

    def _check_evaluation(self, dataset: str, name: str, asked: RandomSubsetsConfig | None, where: str) -> None:
        """Raise `UserError` if an evaluation needs what the suite does not ask for, or the data set does not have."""
        needed = self.protocol(name).min_random_draws
        if (asked.draws if asked else 0) < needed:
            found = f"{asked.draws} draws" if asked else "none"
            raise UserError(f"{where}: random_subsets: evaluation {name} needs {needed} draws, found {found}")
        if self.protocol(name).needs_factors and not READERS[read_dataset(dataset).reader].factors:
            known = ", ".join(reader for reader, entry in READERS.items() if entry.factors)
            raise UserError(
                f"{where}: evaluation {name} needs images whose true factors are known, data set {dataset} has none; "
                f"readers that know them: {known}"
            )

    def _read_perturbations(self, name: str, draws: int, where: str) -> list[str]:
        members = read_perturbations(name, draws)
        if len(members) > 1:
            self.labels["perturbation"][name] = name.replace("_", " ")
        for member, (label, recipe) in members.items():
            if self.perturbations.setdefault(member, recipe) != recipe:
                raise UserError(f"{where}: perturbation {member} stands in two suites with another number of draws")
            self.labels["perturbation"][member] = label
        return list(members)

    def _under(self, evaluation: str, perturbations: list[str]) -> list[str]:
        """Return those of the perturbations that an evaluation is made under."""
        under = self.evaluations[evaluation].under
        if under == "clean" or not self.protocol(evaluation).perturbed:
            return [CLEAN]
        return perturbations if under == "all" else [name for name in perturbations if "." not in name]

    def _add_run(self, recipe: Recipe, label: str, subsets: RandomSubsetsConfig | None, where: str) -> Run:
        run = self.runs.setdefault(recipe.name, Run(recipe, label, subsets))
        if run.recipe != recipe:
            raise UserError(f"{where}: runs: {recipe.name} stands in two blocks with other numbers")
        if run.subsets != subsets:
            raise UserError(f"{where}: runs: {recipe.name} stands in two suites with other random_subsets")
        return run

    def n_cells(self) -> int:
        """Return how many numbers the suite is expected to give."""
        return sum(
            has_cell(part, perturbation, metric)
            for run in self.runs.values()
            for target in self._targets(run)
            for part, perturbation, metric in product(target["parts"], target["perturbations"], target["metrics"])
        )

    def _targets(self, run: Run) -> Iterator[dict[str, Any]]:
        """Yield, per data set and evaluation of a run, the cells that its record must have."""
        for dataset, evaluations in run.evaluations.items():
            for evaluation, perturbations in evaluations.items():
                yield {
                    "eval_dataset": dataset,
                    "evaluation": evaluation,
                    "perturbations": perturbations,
                    "parts": self.parts(run, evaluation),
                    "metrics": self.protocol(evaluation).metrics_of(self.evaluations[evaluation].settings),
                }

    def plan(self) -> dict[str, Any]:
        """Return the JSON object of results/suite.json: what collect, tables, figures and the report need to know."""
        return self._plan() | {"pictures": self.picture_entries}

    @cached_property
    def picture_entries(self) -> list[dict[str, Any]]:
        """What the plan says of each picture: its data set, runs, caption and settings."""
        return picture_entries(self.pictures, self._plan()) if self.pictures else []

    def _plan(self) -> dict[str, Any]:
        return {
            "schema": 2,
            "suite": self.config.suite,
            "title": self.config.title,
            "description": self.config.description,
            "runs": [self._run_entry(run) for run in self.runs.values()],
            "evaluations": list(self.evaluations),
            "protocols": {name: recipe.protocol for name, recipe in self.evaluations.items()},
            "selections": {name: recipe.selection for name, recipe in self.evaluations.items()},
            "perturbations": list(self.perturbations),
            "seen": self.seen(),
            "tables": list(self.tables),
            "figures": self.figures,
            "figure_variants": self.config.figure_variants,
            "figure_augmentations": self.config.figure_augmentations,
            "table_specs": {name: spec.model_dump() for name, spec in self.tables.items()},
            "claim_specs": {name: spec.model_dump() for name, spec in self.claims.items()},
            "statistics": read_statistics().model_dump(),
            "labels": self._all_labels(),
        }

    def seen(self) -> dict[str, dict[str, str]]:
        """Return for each augmentation and perturbation, or family, whether pretraining saw such distortions.

        `seen`: the augmentation has all operations of the perturbation, whatever their strength. `unseen`: it lacks
        one. `clean`: there is nothing to see.
        """
        ops = {name: {item.op for item in recipe.ops} for name, recipe in self.perturbations.items()}
        ops |= {name.split(".")[0]: own for name, own in ops.items() if "." in name}
        known = {run.recipe.augmentation: {item.op for item in run.recipe.ops} for run in self.runs.values()}
        return {
            augmentation: {
                name: ("seen" if own <= trained else "unseen") if own else "clean" for name, own in ops.items()
            }
            for augmentation, trained in known.items()
        }

    def _all_labels(self) -> dict[str, dict[str, str]]:
        labels = dict(self.labels)
        labels["dataset"] = {name: dataset.label for name, dataset in self.dataset_configs.items()}
        labels["eval_dataset"] = labels["dataset"]
        labels["variant"] = {run.recipe.variant: run.label for run in self.runs.values()}
        trained = dict.fromkeys(run.recipe.augmentation for run in self.runs.values() if run.recipe.ops)
        labels["augmentation"] = {NO_AUGMENTATION: "no training"}
        labels["augmentation"] |= {name: read_ops("augmentations", name, {})[0] for name in trained}
        return labels

    def _run_entry(self, run: Run) -> dict[str, Any]:
        recipe, entry = run.recipe, METHODS[run.recipe.method]
        schedule = recipe.training.schedule
        return {
            "dataset": recipe.dataset,
            "variant": recipe.variant,
            "augmentation": recipe.augmentation,
            "seed": recipe.seed,
            "parts": list(entry.parts),
            "trains": entry.trains,
            "method": recipe.method,
            "settings": recipe.settings,
            "recipe_digest": recipe.digest,
            "backbone": recipe.training.backbone.name,
            "epochs": recipe.training.epochs,
            "extra_warmup_epochs": schedule.extra_warmup_epochs,
            "batch_size": recipe.training.batch_size,
            "authors": recipe.authors,
            "targets": list(self._targets(run)),
        }

    def plan_text(self) -> str:
        """Return `plan` as canonical JSON: the parameter of the rule that writes it."""
        return canonical_json(self.plan())


def read_table(name: str) -> TableSpec:
    """Read and check config/tables/`name`.yaml."""
    path = CONFIG_DIR / "tables" / f"{name}.yaml"
    return parse(TableSpec, read_yaml(path), str(path))
