"""What the YAML files in config/ may say: data sets, variants, operations, evaluations and suites. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, model_validator

from ddcl.base.yaml_files import MOST, Count, Model, Seed, Seeds, each_once, parse, read_yaml
from ddcl.schema.marks import Group
from ddcl.schema.names import Label, Name, Names
from ddcl.schema.pilots import PilotConfig
from ddcl.schema.places import config_path, existing_files, search_beside, shown_path
from ddcl.schema.sets import SettableNames, with_sets
from ddcl.schema.training import TrainingConfig
from ddcl.schema.tuning import TuningConfig

MOST_PX = 16384  # of the side of an image


class VariantConfig(Model):
    """A method with all its numbers: the row of a table."""

    label: Label = Field(description="name in tables and figures")
    method: str = Field(description="name in the registry of methods")
    settings: dict[str, Any] = Field(default_factory=dict, description="the method's own numbers")
    training: TrainingConfig
    authors: dict[str, Any] = Field(
        default_factory=dict,
        description="the quirks of the official code, on top of settings and training; for blocks with `authors: true`",
    )
    published_as: Name | None = Field(
        default=None,
        description="variant whose published numbers, for the same number of epochs, are shown beside this one's; "
        "null: those of its own name",
    )
    group: Group | None = Field(
        default=None,
        description="its table; null: main if it has its method's name or names a plugin, ablation else",
    )


class AnyScaleVariant(Model):
    """An entry of config/variants/any.yaml: a few keys on top of a variant that each scale has."""

    base: Name = Field(description="variant that it changes")
    label: Label = Field(description="name in tables and figures")
    settings: dict[str, Any] = Field(default_factory=dict, description="the method's own numbers")
    training: dict[str, Any] = Field(default_factory=dict, description="training settings")
    published_as: Name | None = Field(default=None, description="as in `VariantConfig`")
    group: Group | None = Field(default=None, description="as in `VariantConfig`")


class NormalisationConfig(Model):
    """What a pixel value in [0, 1] is normalised with, per channel."""

    mean: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=3, max_length=3, description="subtracted")
    std: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=3, max_length=3, description="divided by")


SplitName = Literal["train", "test", "pretrain"]
Background = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]
WHITE = [255, 255, 255]


class HoldoutConfig(Model):
    """Training images that take the place of the test split, so that something can be chosen without that one."""

    frac: float = Field(gt=0, lt=1, description="share of each class's training images")
    seed: Seed = Field(description="seed of the draw")


class DatasetConfig(Model):
    """A data set and what its images dictate."""

    label: Label = Field(description="name in tables and figures")
    reader: str = Field(description="name in the registry of readers")
    settings: dict[str, Any] = Field(default_factory=dict, description="the reader's own settings")
    scale: Name = Field(description="folder of config/variants whose numbers fit these images")
    image_side_px: int = Field(ge=8, le=MOST_PX, description="side of the square images that the encoder sees")
    n_classes: int = Field(ge=2, le=MOST, description="classes; anything else in the files is an error")
    n_images: dict[SplitName, Count] = Field(
        default_factory=dict, description="images of each split, checked when it is prepared; {}: not known"
    )
    n_groups: dict[SplitName, Count] = Field(
        default_factory=dict,
        description="groups of images that are not independent, of each split, checked when it is prepared; {}: none "
        "or not known",
    )
    normalisation: NormalisationConfig | None = Field(
        default=None, description="mean and std in [0, 1]; null: those of the training split's pixels"
    )
    resize_px: int | None = Field(
        default=None,
        ge=8,
        le=MOST_PX,
        description="images kept as files: shorter side before the central crop of evaluation",
    )
    one_array: bool = Field(
        default=False,
        description="decode image files once, to squares of image_side_px in one array: crops are cut from those",
    )
    background: Background = Field(
        default=WHITE, description="RGB, 0 to 255: what transparent pixels of image files are drawn on"
    )
    obtain: str = Field(default="", description="what to get, and where, if it cannot be downloaded")
    found_by: list[str] = Field(
        default_factory=list, description="paths below data_root; one of them is there if the data set is. []: built in"
    )
    training_overrides: dict[str, Any] = Field(
        default_factory=dict, description="training settings of the scale's variants that these images need otherwise"
    )
    holdout: HoldoutConfig | None = Field(
        default=None, description="for suites of kind tuning: held-out training images in place of the test split"
    )
    for_tuning: bool = Field(
        default=False,
        description="for tuning suites: its test images belong to no data set on which results are reported",
    )
    probe: Name | None = Field(
        default=None,
        description="evaluation that replaces the paper's probe on these images, if they cannot be cropped and "
        "flipped; claims that list it under `instead` are judged by it; null: the paper's probe",
    )
    tuned: str | None = Field(
        default=None, description="name in config/tuned: what a tuning suite chose for these images; null: nothing"
    )
    op_overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="settings of image operations, by op, that these images need otherwise, in augmentations as in "
        "perturbations",
    )

    @model_validator(mode="after")
    def _crops_what_is_there(self) -> DatasetConfig:
        if self.resize_px is not None and self.resize_px < self.image_side_px:
            raise ValueError(
                f"resize_px {self.resize_px} is below image_side_px {self.image_side_px}: the central crop would have "
                "a black frame"
            )
        return self

    @property
    def counted(self) -> bool:
        """Whether it is known how many images there are."""
        return {"train", "test"} <= self.n_images.keys()


class OpsConfig(Model):
    """A list of image operations: an augmentation or a perturbation."""

    family: dict[str, dict[str, Annotated[list[Any], Field(min_length=1), AfterValidator(each_once)]]] = Field(
        default_factory=dict,
        description="perturbations: one operation and lists of its settings; stands for all their combinations",
    )

    label: Label = Field(description="name in tables and figures")
    base: Name | None = Field(default=None, description="start from the operations of this one")
    remove: Names = Field(default_factory=list, description="operations of the base to leave out")
    ops: list[dict[str, dict[str, Any]]] = Field(default_factory=list, description="operations, in order")


class EvaluationConfig(Model):
    """A protocol with all its numbers."""

    label: Label = Field(description="name in tables and figures")
    protocol: str = Field(description="name in the registry of evaluations")
    selection: Label = Field(description="how hyperparameters were chosen; printed with each number")
    settings: dict[str, Any] = Field(description="the protocol's own numbers")
    under: Literal["all", "single", "clean"] = Field(
        default="all",
        description="perturbations of the suite that it uses: all, those that are not families, or only the clean "
        "images",
    )


class TransferConfig(Model):
    """Evaluations of runs on clean images of data sets that they were not trained on."""

    to: Names = Field(min_length=1, description="names in config/datasets")
    evaluations: Names = Field(min_length=1, description="names in config/evaluations")


class BlockConfig(Model):
    """Runs of a suite: the product of four lists."""

    datasets: Names = Field(min_length=1, description="names in config/datasets")
    variants: Names = Field(default_factory=list, description="names in config/variants/<scale>")
    augmentations: Names = Field(
        default_factory=list, description="names in config/augmentations, or none; of the variants"
    )
    encoders: Names = Field(
        default_factory=list,
        description="names in config/encoders: encoders from elsewhere, evaluated beside the variants",
    )
    seeds: Seeds = Field(
        min_length=1, description="seeds of order, weights and draws; an encoder's weights do not depend on them"
    )
    authors: bool = Field(
        default=False,
        description="with the quirks of the official code: each variant's `authors` section on top, as NAME_authors",
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="training settings that replace those of each variant in this block"
    )
    evaluations: Names | None = Field(default=None, description="replaces the suite's")
    perturbations: Names | None = Field(default=None, description="replaces the suite's")
    transfer: list[TransferConfig] = Field(default_factory=list, description="evaluations on other data sets")

    @model_validator(mode="after")
    def _has_arms(self) -> BlockConfig:
        if not self.variants and not self.encoders:
            raise ValueError("a block needs variants, or encoders")
        if bool(self.variants) != bool(self.augmentations):
            raise ValueError("variants and augmentations go together")
        if self.encoders and (self.authors or self.overrides):
            raise ValueError("encoders are not trained: authors and overrides mean nothing for them; use two blocks")
        return self


class RandomSubsetsConfig(Model):
    """Random columns of the features, as many as DIR and DVR have: is it the part, or its width?"""

    draws: int = Field(ge=1, le=1000, description="column sets drawn; a cell holds their mean")
    dir_frac: float = Field(
        gt=0, lt=1, description="share of the features in random_dir; random_dvr has the remaining share"
    )


class SuiteConfig(Model):
    """A suite: which runs, evaluations, tables and figures."""

    suite: Name = Field(description="name of the suite")
    title: Label = Field(description="heading of the report")
    description: str = Field(description="what the suite can and cannot show; printed in the report")
    data_root: str = Field(
        default="data",
        pattern="^.+$",
        description="folder with the data sets; the environment variable DDCL_DATA takes precedence",
    )
    tuning: TuningConfig | None = Field(
        default=None, description="in place of runs: settings to choose from, on held-out training images"
    )
    include: Names = Field(
        default_factory=list, description="suites in config/suites whose runs, tables and figures belong to this one"
    )
    pilot: PilotConfig | None = Field(
        default=None,
        description="runs of known accuracy that come first, while the others wait; null: those of the suites in "
        "include, if they have any",
    )
    runs: list[BlockConfig] = Field(default_factory=list, description="the runs are the union of these blocks")
    evaluations: Names = Field(default_factory=list, description="names in config/evaluations")
    perturbations: Names = Field(default_factory=list, description="names in config/perturbations; none must be there")
    draws: Count = Field(
        default=1,
        description="seeded draws of each random perturbation; a cell holds their mean; families have one draw",
    )
    random_subsets: RandomSubsetsConfig | None = Field(
        default=None, description="control for width, parts random_dir and random_dvr; evaluation diagnostics needs it"
    )
    tables: SettableNames = Field(default_factory=list, description="names in config/tables")
    figures: SettableNames = Field(default_factory=list, description="names in ddcl.report.figures")
    claims: SettableNames = Field(
        default_factory=list, description="names in config/claims: claims of the paper to judge"
    )
    planned_half_widths: dict[str, dict[str, Annotated[float, Field(gt=0)]]] = Field(
        default_factory=dict,
        description="half of the 95 % interval that was planned before the runs, by claim and form, such as C2a, and "
        "check, in its unit; printed beside what was reached",
    )
    pictures: SettableNames = Field(
        default_factory=list, description="names in config/pictures; one of each is drawn for every data set"
    )
    figure_variants: Names | None = Field(default=None, description="variants that figures show; null: all")
    figure_augmentations: Names | None = Field(default=None, description="augmentations that figures show; null: all")

    @model_validator(mode="after")
    def _has_runs(self) -> SuiteConfig:
        if self.tuning and (self.runs or self.include or self.claims):
            raise ValueError("a suite with tuning has no runs, include or claims beside it")
        if not self.runs and not self.include and not self.tuning:
            raise ValueError("a suite needs runs, other suites in include, or tuning")
        return self


def parse_suite(values: Any, where: str) -> SuiteConfig:
    """Return a suite's values, checked, with names in place of the sets of config/sets.yaml."""
    return parse(SuiteConfig, with_sets(values, where) if isinstance(values, dict) else values, where)


def read_suite(path: Path) -> SuiteConfig:
    """Read and check the suite file `path`."""
    return parse_suite(read_yaml(path), str(path))


def suite_path(text: str) -> Path:
    """Return a suite's file, and search its folder for names from now on.

    text: its path, or a name in config/suites.
    """
    path = Path(text)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        return config_path("suites", text)
    search_beside(path)
    return path


def suite_file(suite: str) -> str:
    """Return the file of a suite in config/, as typed in the project's root; empty for any other."""
    for path in (*existing_files("config.yaml"), *existing_files(f"suites/{suite}.yaml")):
        if read_yaml(path).get("suite") == suite:
            return shown_path(path)
    return ""


def suite_schema() -> str:
    """Return the JSON schema of suite files, as YAML: the reference of every key, also for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | SuiteConfig.model_json_schema()
    return yaml.safe_dump(schema, sort_keys=False, allow_unicode=True, width=120)
