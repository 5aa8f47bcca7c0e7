"""What a table's YAML may say. Imports no torch and no matplotlib: Snakemake reads it at every start."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ddcl.base.yaml_files import Model, parse, read_yaml
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


class SelectSpec(Model):
    """Which cells a table is about; a key that is not given selects everything."""

    dataset: list[str] | None = Field(default=None, description="data sets of pretraining")
    variant: list[str] | None = Field(default=None, description="variants")
    augmentation: list[str] | None = Field(default=None, description="augmentations")
    evaluation: list[str] | None = Field(default=None, description="evaluations")
    perturbation: list[str] | None = Field(
        default=None, description="perturbations; a family's name stands for its members; null: all that are no members"
    )
    part: list[str] | None = Field(default=None, description="parts of the features")
    metric: list[str] = Field(
        default=["top1"], description="metrics as measured; top1_best_test_epoch was selected on the test split"
    )
    tested_on: Literal["own", "others", "all"] = Field(
        default="own", description="evaluated on the data set of pretraining, on others (transfer), or both"
    )


class TableSpec(Model):
    """A table: what it says of itself, which cells it holds, and how its printed form is laid out."""

    title: str = Field(description="heading")
    caption: str = Field(description="protocol and selection rule, in words")
    kind: Literal["cells", "convergence", "published"] = Field(
        description="from records, from training histories, or beside published numbers"
    )
    select: SelectSpec = Field(default_factory=SelectSpec, description="which cells; kind cells only")
    mean_over: list[Literal["perturbation", "seen"]] = Field(
        default_factory=list,
        description="average per run. perturbation: over the members of a family, such as all common corruptions. "
        "seen: over the perturbations whose operations pretraining has seen, and over the others",
    )
    derive: list[Literal["relative_drop", "change", "full_minus"]] = Field(
        default_factory=list,
        description="metrics computed per run before averaging. relative_drop: 1 - value / clean value. change: value "
        "minus the value of the same variant and seed under reference_augmentation. full_minus: value of all features "
        "minus the part's",
    )
    reference_augmentation: str | None = Field(default=None, description="what `change` is measured against")
    reference_variant: dict[str, str] = Field(
        default_factory=dict,
        description="kind convergence: whose final accuracy a variant must reach 95 % of; its own where not named",
    )
    mark_unseen: bool = Field(
        default=False,
        description="mark numbers under distortions of which pretraining's augmentation lacks an operation",
    )
    compare: Literal["variant"] | None = Field(
        default=None,
        description="cells that differ in this key only are compared: the best is bold if it is distinguishable from "
        "the runner-up, those that are not distinguishable from the best are underlined; null: none",
    )
    rows: list[Key] = Field(min_length=1, description="keys that label the printed rows")
    columns: list[Key] = Field(min_length=1, description="keys that label the printed columns")
    print: list[str] = Field(min_length=1, description="metrics in the printed form; the CSV has all")

    @model_validator(mode="after")
    def _one_metric(self) -> TableSpec:
        if self.derive and len(self.select.metric) > 1:
            raise ValueError("derive: needs exactly one metric in select")
        return self

    @model_validator(mode="after")
    def _reference_given(self) -> TableSpec:
        if "change" in self.derive and self.reference_augmentation is None:
            raise ValueError("derive: change needs reference_augmentation")
        return self


def read_table(name: str) -> TableSpec:
    """Read and check config/tables/`name`.yaml."""
    path = config_path("tables", name)
    return parse(TableSpec, read_yaml(path), str(path))
