"""A suite that was read: what its runs and evaluations need and give, and its plan.

Imports no torch: Snakemake reads it at every start.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ddcl.base.yaml_files import read_yaml
from ddcl.plan.addresses import features_digest, record_digest
from ddcl.plan.baselines import with_baselines
from ddcl.plan.cells import cells_of
from ddcl.plan.expand import Expansion, Run
from ddcl.plan.macro_names import check_macros
from ddcl.plan.pictures import planned_pictures
from ddcl.plan.pilot import planned_pilot
from ddcl.plan.plan import CellGroup, Plan, PlannedEvaluation, PlannedFigure, PlannedRun, Target
from ddcl.plan.relations import check_relations
from ddcl.plan.table_places import check_tables
from ddcl.schema.claims import read_gates, read_statistics
from ddcl.schema.evaluations import EvaluationSettings
from ddcl.schema.figures import WORDS
from ddcl.schema.marks import mark_of, read_marks
from ddcl.schema.metrics import DERIVED, Metric
from ddcl.schema.names import NO_AUGMENTATION
from ddcl.schema.op_recipes import PerturbationRecipe, on_images, read_ops
from ddcl.schema.paper import paper_recipe
from ddcl.schema.pilots import Pilot
from ddcl.schema.published import PublishedNumber, read_published
from ddcl.schema.recipes import Recipe, data_recipe, read_dataset, read_evaluation
from ddcl.schema.registry import METHODS, PART_LABELS, part_names, protocol_of
from ddcl.schema.setups import setup_of
from ddcl.schema.subsets import read_subset_config
from ddcl.schema.suites import RandomSubsetsConfig, parse_suite
from ddcl.schema.variants import variant_label


class Suite:
    """A checked suite. Everything is read and validated when it is built, so errors come before any job.

    config: the parsed suite file.
    where: where it comes from, for messages.
    """

    def __init__(self, config: dict[str, Any], where: str) -> None:
        self.config = parse_suite(config, where)
        asked = Expansion(self.config, where)
        self.runs, self.evaluations, self.perturbations = asked.runs, asked.evaluations, asked.perturbations
        self.tables, self.figures, self.pictures = asked.tables, asked.figures, asked.pictures
        self.claims, self.labels, self.protocol = asked.claims, asked.labels, asked.protocol
        self.planned_half_widths = asked.planned_half_widths
        self.data = cache(data_recipe)  # by data set; many runs ask for the same
        self.features_digest = cache(self._new_features_digest)
        self._record_digest = cache(self._new_record_digest)
        self._groups = cache(self._new_groups)
        self.data_digest = cache(lambda name: self.data(name).digest)
        names = (name for run in self.runs.values() for name in (run.recipe.dataset, *run.evaluations))
        self.dataset_configs = {name: read_dataset(name) for name in dict.fromkeys(names)}
        self.where = where
        check_relations(asked, self.config, self.dataset_configs, where)

    @classmethod
    def load(cls, path: Path) -> Suite:
        """Read the suite file `path`."""
        return cls(read_yaml(path), str(path))

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """The recipe of each run, by the run's name."""
        return {name: run.recipe for name, run in self.runs.items()}

    @cached_property
    def settings(self) -> dict[str, EvaluationSettings]:
        """The typed settings of each evaluation, by name."""
        return {
            name: self.protocol(name).settings.model_validate(own.settings) for name, own in self.evaluations.items()
        }

    def parts(self, run: Run, evaluation: str) -> list[str]:
        """Return the parts of the features that an evaluation of a run gives cells for."""
        return part_names(METHODS[run.recipe.method], self.protocol(evaluation), run.subsets is not None)

    def features(self, run: Run, dataset: str) -> list[str]:
        """Return the perturbations under which features of a run on a data set are needed."""
        wanted = run.evaluations.get(dataset, {}).items()
        needed = (names for evaluation, names in wanted if self.takes_features(run, evaluation))
        return list(dict.fromkeys(name for names in needed for name in names))

    def n_cells(self) -> int:
        """Return how many numbers the suite is expected to give."""
        return sum(1 for run in self.plan.runs for target in run.targets for _ in target.expected())

    def _target(self, run: Run, dataset: str, evaluation: str, perturbations: list[str]) -> Target:
        """Return the record that an evaluation of a run on a data set must give."""
        features = self.features(run, dataset)
        own = self.features_digest(tuple(features), dataset) if self.takes_features(run, evaluation) else None
        groups = self._groups(run.recipe.method, evaluation, tuple(perturbations), run.subsets is not None)
        digest = self._record_digest(evaluation, tuple(perturbations), run.subsets, dataset, own, run.recipe.method)
        ops = self.ops(features) if own else []
        return Target(
            eval_dataset=dataset, evaluation=evaluation, digest=digest, features=own, features_ops=ops, cells=groups
        )

    def ops(self, perturbations: Iterable[str]) -> list[str]:
        """Return the image operations of perturbations, sorted."""
        return sorted({item.op for name in perturbations for item in self.perturbations[name].ops})

    def takes_features(self, run: Run, evaluation: str) -> bool:
        """Return whether an evaluation of a run is made from stored features."""
        entry = protocol_of(run.recipe.method, self.evaluations[evaluation].protocol)
        return entry is not None and "features" in entry.inputs

    def _on_images(self, perturbations: tuple[str, ...], dataset: str) -> list[PerturbationRecipe]:
        """Return perturbations as they are for the images of a data set."""
        overrides = self.dataset_configs[dataset].op_overrides
        return [on_images(self.perturbations[name], overrides) for name in perturbations]

    def _new_features_digest(self, perturbations: tuple[str, ...], dataset: str) -> str:
        """Return the digest of features under these perturbations on a data set."""
        return features_digest(self._on_images(perturbations, dataset), self.data(dataset))

    def _new_record_digest(
        self,
        evaluation: str,
        perturbations: tuple[str, ...],
        subsets: RandomSubsetsConfig | None,
        dataset: str,
        features: str | None,
        method: str,
    ) -> str:
        groups = self._groups(method, evaluation, perturbations, subsets is not None)
        return record_digest(
            self.evaluations[evaluation],
            self._on_images(perturbations, dataset),
            subsets,
            self.data(dataset),
            features,
            [cell for group in groups for cell in group],
            self._images(evaluation, dataset),
        )

    def _images(self, evaluation: str, dataset: str) -> list[list[int]] | None:
        """Return the list of the only images that an evaluation trains on, if it has one."""
        listed = self.settings[evaluation].train_list
        return read_subset_config(dataset, listed).positions if listed else None

    def _new_groups(
        self, method: str, evaluation: str, perturbations: tuple[str, ...], random: bool
    ) -> list[CellGroup]:
        under = [self.perturbations[name] for name in perturbations]
        return cells_of(method, self.evaluations[evaluation], under, random)

    @cached_property
    def plan(self) -> Plan:
        """What collect, tables, figures and the report need to know: results/suite.json."""
        plan = self._plan()
        check_tables(plan)
        check_macros(plan, self.where)
        planned_pilot(self.config, plan, self.where)
        return plan.changed(pictures=planned_pictures(self.pictures, plan)) if self.pictures else plan

    @cached_property
    def pilot(self) -> Pilot | None:
        """The runs that come first, and what they must reach; None where the suite has no pilot."""
        return planned_pilot(self.config, self.plan, self.where)

    def _plan(self) -> Plan:
        names = {
            name: PlannedEvaluation(protocol=item.protocol, selection=item.selection, settings=item.settings)
            for name, item in self.evaluations.items()
        }
        marks = {name: mark_of(name) for name in self._methods()}
        return Plan(
            suite=self.config.suite,
            title=self.config.title,
            description=self.config.description,
            runs=with_baselines((self._planned_run(run) for run in self.runs.values()), marks),
            marks=marks,
            data={name: self.data_digest(name) for name in self.dataset_configs},
            probes={name: own.probe for name, own in self.dataset_configs.items() if own.probe},
            evaluations=names,
            metrics=self._metrics(),
            perturbations=list(self.perturbations),
            families=self.families(),
            strengths={name: item.strength for name, item in self.perturbations.items() if item.strength is not None},
            seen=self.seen(),
            tables=self.tables,
            figures={name: self._planned_figure(name) for name in self.figures},
            figure_variants=self.config.figure_variants,
            figure_augmentations=self.config.figure_augmentations,
            pictures=[],
            claims=self.claims,
            planned_half_widths=self.planned_half_widths,
            gates=read_gates(self.claims.values()),
            statistics=read_statistics(),
            labels=self._all_labels(),
            paper=self._paper(),
            published=self._published(),
            tuning=self.config.tuning,
        )

    def _planned_figure(self, name: str) -> PlannedFigure:
        words = WORDS[name]
        has = words.table in self.tables or words.claims
        return PlannedFigure(caption=words.caption, alt=words.alt, table=words.table if has else "")

    def _methods(self) -> list[str]:
        """Return the suite's methods in the order of legends; those of plugins come last."""
        own, order = dict.fromkeys(run.recipe.method for run in self.runs.values()), list(read_marks())
        return sorted(own, key=lambda name: order.index(name) if name in order else len(order))

    def _published(self) -> list[PublishedNumber]:
        """Return the published numbers on the suite's data sets, if anything of it shows such numbers."""
        if "published" not in {*self.figures, *(spec.kind for spec in self.tables.values())}:
            return []
        return [number for number in read_published() if number.dataset in self.dataset_configs]

    def _metrics(self) -> dict[str, Metric]:
        """Return the metrics that the suite's evaluations report, and those that tables derive, by name."""
        reported = (self.protocol(name).metrics_of(own.settings) for name, own in self.evaluations.items())
        return {metric.name: metric for metrics in (*reported, DERIVED) for metric in metrics}

    def _paper(self) -> dict[str, Recipe]:
        """Return the paper's recipes of the suite's methods and augmentations, where it has any."""
        pairs = dict.fromkeys((run.recipe.method, run.recipe.augmentation) for run in self.runs.values())
        recipes = {f"{method}/{augmentation}": paper_recipe(method, augmentation) for method, augmentation in pairs}
        return {name: recipe for name, recipe in recipes.items() if recipe}

    def seen(self) -> dict[str, dict[str, str]]:
        """Return for each augmentation and perturbation, or family, whether pretraining saw such distortions.

        `seen`: the augmentation has all operations of the perturbation, whatever their strength. `unseen`: it lacks
        one. `clean`: there is nothing to see.
        """
        ops = {name: {item.op for item in recipe.ops} for name, recipe in self.perturbations.items()}
        ops |= {family: ops[member] for member, family in self.families().items()}
        known = {run.recipe.augmentation: {item.op for item in run.recipe.ops} for run in self.runs.values()}
        return {
            augmentation: {
                name: ("seen" if own <= trained else "unseen") if own else "clean" for name, own in ops.items()
            }
            for augmentation, trained in known.items()
        }

    def families(self) -> dict[str, str]:
        """Return the family of each perturbation that is a member of one."""
        return {name: recipe.family for name, recipe in self.perturbations.items() if recipe.family}

    def _all_labels(self) -> dict[str, dict[str, str]]:
        """Return how names are printed, by kind: also those that claims ask for and the suite does not have."""
        labels = dict(self.labels)
        asked = {name for claim in self.claims.values() for name in claim.evaluations}
        labels["evaluation"] = labels["evaluation"] | {
            name: read_evaluation(name)[0] for name in sorted(asked - set(self.evaluations))
        }
        labels["dataset"] = {name: dataset.label for name, dataset in self.dataset_configs.items()}
        labels["eval_dataset"] = labels["dataset"]
        labels["part"] = PART_LABELS
        compared = sorted({name for claim in self.claims.values() for name in claim.variants})
        labels["variant"] = {name: variant_label(name) for name in compared}
        labels["variant"] |= {run.recipe.variant: run.label for run in self.runs.values()}
        trained = dict.fromkeys(run.recipe.augmentation for run in self.runs.values() if run.recipe.ops)
        labels["augmentation"] = {NO_AUGMENTATION: "no training"}
        labels["augmentation"] |= {name: read_ops("augmentations", name, {})[0] for name in trained}
        return labels

    def _planned_run(self, run: Run) -> PlannedRun:
        recipe, entry = run.recipe, METHODS[run.recipe.method]
        return PlannedRun(
            dataset=recipe.dataset,
            variant=recipe.variant,
            augmentation=recipe.augmentation,
            seed=recipe.seed,
            arm_digest=recipe.arm_digest,
            recipe_digest=recipe.digest,
            data_digest=self.data_digest(recipe.dataset),
            method=recipe.method,
            settings=recipe.settings,
            ops=[item.op for item in recipe.ops],
            parts=list(entry.parts),
            trains=entry.trains,
            backbone=recipe.network.name,
            epochs=recipe.training.epochs,
            extra_warmup_epochs=recipe.training.schedule.extra_warmup_epochs,
            batch_size=recipe.training.batch_size,
            authors=recipe.authors,
            published_as=run.published_as,
            setup=setup_of(recipe),
            group=run.group,
            targets=[
                self._target(run, dataset, evaluation, perturbations)
                for dataset, evaluations in run.evaluations.items()
                for evaluation, perturbations in evaluations.items()
            ],
        )
