"""The plan of a suite: what everything after the evaluations needs to know of it. results/suite.json holds one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from ddcl.base import sealed
from ddcl.base.errors import UserError, check_name
from ddcl.base.files import digest_text, remove, write_text
from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model
from ddcl.plan.addresses import features_folder, folder_of_data, folder_of_run, log_path, predictions_of, record_path
from ddcl.schema.claims import FILES as CLAIM_FILES
from ddcl.schema.claims import MACROS, ClaimSpec, StatisticsSpec
from ddcl.schema.gates import GateSpec
from ddcl.schema.marks import Group, Mark
from ddcl.schema.metrics import Metric
from ddcl.schema.names import Name
from ddcl.schema.published import PublishedNumber
from ddcl.schema.recipes import Recipe
from ddcl.schema.run_key import RunKey
from ddcl.schema.setups import Setup
from ddcl.schema.tables import RUN, TableSpec
from ddcl.schema.tuning import CHOICE, SCORES, TuningConfig

FILE = "suite.json"  # below the results folder
PAGE = "report/index.html"
DICTIONARY = "README.md"  # below results/tables: what the columns of the CSV files mean
WHAT, MAKER = "plan", "ddcl resolve"


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]  # whose first digits stand in an address


class Cell(NamedTuple):
    """What a record has a value of."""

    part: str
    perturbation: str
    metric: str


class CellGroup(Model):
    """Cells of a record: the product of three lists."""

    parts: list[str]
    perturbations: list[str]
    metrics: list[str]

    def __iter__(self) -> Iterator[Cell]:  # type: ignore[override]
        """Yield the cells."""
        return (Cell(*names) for names in product(self.parts, self.perturbations, self.metrics))


class Target(Model):
    """One evaluation of a run on a data set, and the cells that its record must have.

    digest: of the record (`ddcl.plan.addresses`). features: of the stored features that it is made from, if it is, and
    features_ops: the image operations that these were made with.
    """

    eval_dataset: Name
    evaluation: Name
    digest: Digest
    features: Digest | None
    features_ops: list[str]
    cells: list[CellGroup]

    def expected(self) -> Iterator[Cell]:
        """Yield every cell that the record must have."""
        for group in self.cells:
            yield from group

    def _union(self, name: str) -> list[str]:
        return list(dict.fromkeys(item for group in self.cells for item in getattr(group, name)))

    @property
    def parts(self) -> list[str]:
        """The parts that any cell is of."""
        return self._union("parts")

    @property
    def perturbations(self) -> list[str]:
        """The perturbations that any cell is under."""
        return self._union("perturbations")

    @property
    def metrics(self) -> list[str]:
        """The metrics that any cell has."""
        return self._union("metrics")


class PlannedRun(RunKey):
    """A run, what it will be evaluated by, and what the report says of it.

    arm_digest, recipe_digest: of its recipe without and with the seed. data_digest: of its data set's recipe.
    ops: the image operations of its augmentation. group: the table that it stands in. baseline: the variant that it is
    set against, of the same data set, augmentation and seed; empty: none.
    """

    arm_digest: Digest
    recipe_digest: str
    data_digest: str
    method: str
    settings: dict[str, Any]
    ops: list[str]
    parts: list[str]
    trains: bool
    backbone: str
    epochs: int
    extra_warmup_epochs: int
    batch_size: int
    authors: bool
    published_as: str
    setup: Setup = Setup()
    group: Group = "main"
    baseline: str = ""
    targets: list[Target]

    @property
    def key(self) -> dict[str, Any]:
        """The four keys of a run, by name."""
        return {name: getattr(self, name) for name in RUN}

    @property
    def names(self) -> tuple[str, str, str, int]:
        """The four keys of a run."""
        return self.dataset, self.variant, self.augmentation, self.seed

    @property
    def arm(self) -> tuple[str, str, str]:
        """The keys of a run but its seed."""
        return self.dataset, self.variant, self.augmentation

    @property
    def folder(self) -> str:
        """Where its files lie, below the results folder."""
        return folder_of_run(self, self.arm_digest)

    def log(self, stage: str, eval_dataset: str = "") -> str:
        """Return the log of one of its jobs, below the results folder."""
        return log_path(self.folder, stage, eval_dataset)

    def record(self, target: Target) -> str:
        """Return the file of a target's record, below the results folder."""
        return record_path(self.folder, target.eval_dataset, target.evaluation, target.digest)

    def predictions(self, target: Target) -> str:
        """Return the file of a target's per-image predictions, below the results folder."""
        return predictions_of(self.record(target))

    def features(self, target: Target) -> str | None:
        """Return the folder of the features that a target is made from, if it is made from features."""
        return features_folder(self.folder, target.eval_dataset, target.features) if target.features else None


class PlannedEvaluation(Model):
    """An evaluation: its protocol, how hyperparameters are chosen, and the digest of its settings."""

    protocol: str
    selection: str
    settings: dict[str, Any]


class PlannedFigure(Model):
    """A figure: its caption, what it shows for those who cannot see it, and the table with its numbers, if any."""

    caption: str
    alt: str
    table: str = ""


class PlannedPicture(Model):
    """A picture of one data set, and the folders of the runs that it shows, with its settings."""

    name: Name
    picture: Name
    dataset: Name
    drawing: str
    settings: dict[str, Any]
    caption: str
    alt: str
    runs: list[str]


class Plan(Sealed):
    """What a suite will run, and what its tables, figures, claims and page are to say.

    metrics: what is known of those that the suite's evaluations report, and of those that tables derive, by name.
    seen: by augmentation and perturbation or family, whether pretraining had such distortions. families: of each
    perturbation that belongs to one. labels: how names are printed, by kind. marks: of its methods, in the order of
    legends. data: digest of each data set's recipe. probes: of each data set that has one, the evaluation in place of
    the paper's probe. planned_half_widths: by row of a claim and check. paper: the paper's own recipes, by
    method/augmentation. gates: those that the claims name. tuning: what a suite of kind tuning tries.
    """

    SCHEMA: ClassVar[int] = 6
    suite: Name
    title: str
    description: str
    runs: list[PlannedRun]
    data: dict[Name, Digest]
    probes: dict[Name, Name] = Field(default_factory=dict)
    evaluations: dict[Name, PlannedEvaluation]
    metrics: dict[str, Metric]
    perturbations: list[str]
    families: dict[str, str]
    strengths: dict[str, float]
    seen: dict[str, dict[str, str]]
    tables: dict[Name, TableSpec]
    figures: dict[Name, PlannedFigure]
    figure_variants: list[str] | None
    figure_augmentations: list[str] | None
    pictures: list[PlannedPicture]
    claims: dict[str, ClaimSpec]
    planned_half_widths: dict[str, dict[str, float]] = Field(default_factory=dict)
    gates: dict[str, GateSpec]
    statistics: StatisticsSpec
    labels: dict[str, dict[str, str]]
    marks: dict[str, Mark] = Field(default_factory=dict)
    paper: dict[str, Recipe] = Field(default_factory=dict)
    published: list[PublishedNumber] = Field(default_factory=list)
    tuning: TuningConfig | None = None

    def paper_recipe(self, run: PlannedRun) -> Recipe | None:
        """Return the paper's recipe of a run's method under its augmentation, if it has one."""
        return self.paper.get(f"{run.method}/{run.augmentation}")

    @cached_property
    def text(self) -> str:
        """The plan as JSON, with its seal; equal plans have equal texts."""
        return sealed.text_of(self)

    @staticmethod
    def layout(content: dict[str, object]) -> str:
        """Return one long line: Snakemake makes it at every start. The order is that of tables, figures and page."""
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change with anything in the plan."""
        return digest_text(self.text)

    def family(self, perturbation: str) -> str:
        """Return the family of a perturbation, or itself where it belongs to none."""
        return self.families.get(perturbation, perturbation)

    def label(self, kind: str, name: str) -> str:
        """Return how a name is printed."""
        return self.labels.get(kind, {}).get(name, name)

    @property
    def units(self) -> dict[str, str]:
        """The unit of each metric."""
        return {name: metric.unit for name, metric in self.metrics.items()}

    def heading(self, metric: str) -> str:
        """Return how figures call a metric; its name, where the suite has no such metric."""
        return self.metrics[metric].heading if metric in self.metrics else metric

    @property
    def shown(self) -> list[PlannedRun]:
        """The runs that figures show: those of the suite's choice, and the untrained ones."""
        variants, augmentations = self.figure_variants, self.figure_augmentations
        return [
            run
            for run in self.runs
            if not run.trains
            or (
                (variants is None or run.variant in variants)
                and (augmentations is None or run.augmentation in augmentations)
            )
        ]

    @cached_property
    def by_name(self) -> dict[str, PlannedRun]:
        """The runs by name."""
        return {run.name: run for run in self.runs}

    def run(self, name: str) -> PlannedRun:
        """Return the run of this name; `UserError` if the suite has none."""
        check_name("run", name, self.by_name, f"suite {self.suite}")
        return self.by_name[name]

    @cached_property
    def methods(self) -> dict[str, str]:
        """The method of each variant."""
        return {run.variant: run.method for run in reversed(self.runs)}

    @cached_property
    def by_arm(self) -> dict[tuple[str, str, str], PlannedRun]:
        """A run of each arm, its first."""
        return {run.arm: run for run in reversed(self.runs)}

    @cached_property
    def _records(self) -> dict[tuple[Any, ...], str]:
        return {
            (*run.names, target.eval_dataset, target.evaluation): run.record(target)
            for run in self.runs
            for target in run.targets
        }

    def record(self, run: tuple[Any, ...], eval_dataset: str, evaluation: str) -> str | None:
        """Return the file, below the results folder, of a record of a run (its four keys); None if none is planned."""
        return self._records.get((*run, eval_dataset, evaluation))

    def changed(self, **fields: Any) -> Plan:
        """Return the same plan with other values of these fields; nothing that was computed from the old is kept."""
        return Plan(**{name: getattr(self, name) for name in type(self).model_fields} | fields)

    def made(self) -> list[str]:
        """Return what is made from the collected files, below the results folder: tables, figures and the page."""
        names = [f"tables/{name}.{end}" for name in self.tables for end in ("csv", "md", "tex", "html")]
        names += [f"figures/{name}.{end}" for name in self.figures for end in ("png", "pdf", "svg")]
        names += [f"figures/{picture.name}.{end}" for picture in self.pictures for end in ("png", "pdf", "csv")]
        names += [f"tables/{name}" for name in (*CLAIM_FILES, MACROS)] if self.claims else []
        names += [f"tables/{name}" for name in (SCORES, CHOICE)] if self.tuning else []
        return [*names, f"tables/{DICTIONARY}", PAGE]

    @property
    def data_folders(self) -> list[str]:
        """The folders of the prepared data sets, below the results folder."""
        return [folder_of_data(name, digest) for name, digest in self.data.items()]


KEPT = "correctness.parquet"  # below a snapshot: which test images were classified correctly
DERIVED = ("records.parquet", "histories.parquet", "runs.json", "tables", "figures", "report")  # made from the plan


def write_plan(plan: Plan, results: Path) -> None:
    """Write the plan to the results folder. If it is another than the one there, first remove what was made from that.

    Tables, figures and the page at `results` are so those of one plan, whatever their times say. An equal plan is not
    written again. Each plan stays in results/plans, for `ddcl clean`; the former one, too, which may be imported.
    `UserError` if the folder is a snapshot, where nothing could be made again.
    """
    check_no_snapshot(results)
    path = results / FILE
    if text_of(path) != plan.text:
        with suppress(UserError):
            former = read_plan(results)
            write_text(results / "plans" / f"{former.suite}-{former.digest}.json", former.text)
        for name in DERIVED:
            remove(results / name)
        write_text(results / "plans" / f"{plan.suite}-{plan.digest}.json", plan.text)
        write_text(path, plan.text)


def check_no_snapshot(results: Path) -> None:
    """Raise `UserError` if the folder is a snapshot: it has no runs, so its numbers could not be made again."""
    if (results / KEPT).exists():
        raise UserError(
            f"{results}: is a snapshot (it has {KEPT}), and nothing in it can be made again; use another folder"
        )


def text_of(path: Path) -> str:
    """Return what a file holds; nothing, where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def read_plan(results: Path) -> Plan:
    """Read the plan in the results folder; `UserError` if there is none, or if it is of another version or damaged."""
    return read_plan_file(results / FILE, "ddcl snapshot" if (results / KEPT).exists() else MAKER)


def read_plan_file(path: Path, maker: str = MAKER) -> Plan:
    """Read a plan; `UserError` if there is none, or if it is of another version or damaged.

    maker: the command that the message advises.
    """
    return sealed.read(path, Plan, WHAT, maker)
