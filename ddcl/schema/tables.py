"""What a table's YAML may say. Imports no torch and no matplotlib: Snakemake reads it at every start."""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ddcl.base.yaml_files import Model, each_once, parse, read_yaml
from ddcl.schema.known import check_known
from ddcl.schema.metrics import ACCURACY, BESIDE_PUBLISHED, OF_TRAINING
from ddcl.schema.names import Label, Name, Names
from ddcl.schema.places import config_path

RUN = ["dataset", "variant", "augmentation", "seed"]  # keys that name a run
KEYS = ("dataset", "variant", "augmentation", "part", "evaluation", "eval_dataset", "perturbation")
Key = Literal[
    "dataset",
    "variant",
    "augmentation",
    "part",
    "evaluation",
    "eval_dataset",
    "perturbation",
    "metric",
    "seen",  # whether the augmentation of pretraining has the perturbation's operations
    "protocol_matches",  # whether nothing is known to differ between a published run and the measured one
    "source",  # of a published number
    "differs",  # in what the measured run differs from the published one
]


Selected = Annotated[Names, Field(min_length=1)]


class SelectSpec(Model):
    """Which cells a table is about; a key that is not given selects everything."""

    dataset: Selected | None = Field(default=None, description="data sets of pretraining")
    variant: Selected | None = Field(default=None, description="variants")
    augmentation: Selected | None = Field(default=None, description="augmentations")
    evaluation: Selected | None = Field(default=None, description="evaluations")
    perturbation: Selected | None = Field(
        default=None,
        description="perturbations; a family's name stands for its members; null: all that are not members of a family",
    )
    part: Selected | None = Field(default=None, description="parts of the features")
    metric: Selected = Field(
        default=["top1"], description="metrics as measured; top1_best_test_epoch was selected on the test split"
    )
    tested_on: Literal["own", "others", "all"] = Field(
        default="own", description="evaluated on the data set of pretraining, on others (transfer), or both"
    )


class TableSpec(Model):
    """A table: what it says of itself, which cells it holds, and how its printed form is laid out."""

    title: Label = Field(description="heading")
    caption: str = Field(description="protocol and selection rule, in words")
    kind: Literal["cells", "convergence", "published"] = Field(
        description="from records, from training histories, or beside published numbers"
    )
    select: SelectSpec = Field(default_factory=SelectSpec, description="which cells; kind cells only")
    mean_over: Annotated[list[Literal["perturbation", "seen"]], AfterValidator(each_once)] = Field(
        default_factory=list,
        description="average per run. perturbation: over the members of a family, such as all common corruptions. "
        "seen: over the perturbations whose operations pretraining has seen, and over the others",
    )
    derive: Annotated[list[Literal["relative_drop", "change", "full_minus"]], AfterValidator(each_once)] = Field(
        default_factory=list,
        description="metrics computed per run before averaging. relative_drop: 1 - value / clean value. change: value "
        "minus the value of the same variant and seed under reference_augmentation. full_minus: value of all features "
        "minus the part's",
    )
    against: Literal["width_and_baseline"] | None = Field(
        default=None,
        json_schema_extra={"absent": None},
        description="every value is a difference with the same seed: for a part, from equally many random columns of "
        "the same features; for all features, from those of the variant that it is compared with (config/marks.yaml)",
    )
    reference_augmentation: Name | None = Field(default=None, description="augmentation that `change` is measured from")
    reference_variant: dict[Name, Name] = Field(
        default_factory=dict,
        description="kind convergence: the variant of whose final accuracy 95 % must be reached; its own if none is "
        "named",
    )
    mark_unseen: bool = Field(
        default=False,
        description="mark numbers under distortions of which pretraining's augmentation lacks an operation",
    )
    compare: Literal["variant"] | None = Field(
        default=None,
        description="each cell is compared with that of its baseline, which differs only in this key: difference, "
        "interval, and a mark if p is below 0.05 after Holm's correction over the table; null: none",
    )
    rows: Annotated[list[Key], AfterValidator(each_once)] = Field(
        min_length=1, description="keys that label the printed rows"
    )
    columns: Annotated[list[Key], AfterValidator(each_once)] = Field(
        min_length=1, description="keys that label the printed columns"
    )
    print: Names = Field(min_length=1, description="metrics in the printed form; the CSV has all")

    @model_validator(mode="after")
    def _one_metric(self) -> TableSpec:
        if self.derive and len(self.select.metric) > 1:
            raise ValueError("derive: needs exactly one metric in select")
        return self

    @model_validator(mode="after")
    def _differences_of_values(self) -> TableSpec:
        if self.against and self.derive:
            raise ValueError("against: a table of differences derives nothing")
        return self

    @model_validator(mode="after")
    def _reference_given(self) -> TableSpec:
        if ("change" in self.derive) != (self.reference_augmentation is not None):
            raise ValueError("derive: change and reference_augmentation need each other")
        return self

    @model_validator(mode="after")
    def _keys_of_the_kind(self) -> TableSpec:
        own = {"reference_variant"} if self.kind == "convergence" else set()
        of_cells = {"select", "mean_over", "derive", "against", "mark_unseen"}
        own |= of_cells if self.kind == "cells" else set()
        for name in sorted({*of_cells, "reference_variant"} - own):
            if getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True):
                raise ValueError(f"{name}: a table of kind {self.kind} has none")
        return self

    @model_validator(mode="after")
    def _prints_what_it_has(self) -> TableSpec:
        has = self.printable
        for metric in self.print:
            if metric not in has and not (self.kind == "published" and metric.startswith(ACCURACY.name)):
                raise ValueError(f"print: the table has no {metric}, only {', '.join(has)}")
        twice = [key for key in self.rows if key in self.columns]
        if twice:
            raise ValueError(f"columns: {twice[0]} is a key of the rows already")
        return self

    @property
    def printable(self) -> list[str]:
        """The metrics that it may print; beside published numbers, further accuracies too."""
        if self.kind == "cells":
            return [*self.select.metric, *self.derive]
        return [metric.name for metric in (OF_TRAINING if self.kind == "convergence" else BESIDE_PUBLISHED)]


def read_table(name: str) -> TableSpec:
    """Read and check config/tables/`name`.yaml."""
    path = config_path("tables", name)
    spec = parse(TableSpec, read_yaml(path), str(path))
    for key, names in spec.select:
        if key != "tested_on" and names is not None:
            check_known(key, names, f"{path}: select")
    if spec.reference_augmentation:
        check_known("augmentation", [spec.reference_augmentation], f"{path}: reference_augmentation")
    check_known("variant", chain(*spec.reference_variant.items()), f"{path}: reference_variant")
    return spec
