"""Typed configuration: YAML names and numbers become frozen models; anything unknown is an error that says where.

Imports no torch: Snakemake reads the configuration at every start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ddcl.core.errors import UserError, did_you_mean


class Model(BaseModel):
    """Base of all configuration: no unknown key, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=BaseModel)
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


class BackboneConfig(Model):
    """A ResNet, built by timm (`ddcl.core.encoders`)."""

    block: Literal["basic", "bottleneck"] = Field(description="residual block: two 3×3, or 1×1-3×3-1×1 convolutions")
    blocks: list[Count] = Field(min_length=1, max_length=4, description="blocks per stage; [2, 2, 2, 2] is ResNet-18")
    widths: list[Count] = Field(min_length=1, max_length=4, description="channels per stage, before expansion")
    stem: Literal["3x3", "7x7"] = Field(description="first convolution: 3×3 for small images, 7×7 stride 2 otherwise")
    stem_stride: int = Field(ge=1, le=2, description="stride of the stem")
    max_pool: bool = Field(description="3×3 max-pool of stride 2 after the stem")
    init: Literal["kaiming", "torch"] = Field(
        description="convolutions: Kaiming normal, fan out (torchvision's ResNet), or torch's default of Conv2d"
    )
    zero_init_last: bool = Field(description="scale of each residual branch's last BatchNorm starts at 0")

    @model_validator(mode="after")
    def _same_length(self) -> BackboneConfig:
        if len(self.blocks) != len(self.widths):
            raise ValueError(f"blocks has {len(self.blocks)} stages, widths has {len(self.widths)}")
        return self


class OptimizerConfig(Model):
    """Optimiser and the learning rate it starts from."""

    name: Literal["sgd", "lars", "adam", "adamw"] = Field(description="update rule")
    base_lr: float = Field(gt=0, description="learning rate, before `lr_scaling`")
    lr_scaling: Literal["batch/256", "none"] = Field(description="multiply base_lr by batch_size / 256, or not")
    momentum: float = Field(ge=0, lt=1, description="SGD, LARS: momentum. Adam(W): β1")
    weight_decay: float = Field(ge=0, description="l2 penalty (SGD, LARS, Adam) or decoupled decay (AdamW)")
    decay_1d: bool = Field(description="apply weight decay to biases and BatchNorm parameters too")
    lars_trust_coefficient: float = Field(default=0.001, gt=0, description="LARS η; 1-D parameters are not adapted")


class ScheduleConfig(Model):
    """Cosine decay of the learning rate, after a linear warm-up that is part of the epochs."""

    per: Literal["epoch", "step"] = Field(description="the rate changes each epoch or each step")
    warmup_epochs: int = Field(ge=0, description="epochs of linear warm-up from 0")
    final_lr_frac: float = Field(ge=0, le=1, description="the cosine ends at this share of the initial rate")


class MonitorConfig(Model):
    """kNN on held-out training images while training; the test split is not touched."""

    every_epochs: int = Field(ge=1, description="monitor every this many epochs, before the first and after the last")
    holdout_frac: float = Field(gt=0, lt=1, description="share of the training images that are queries")
    k: int = Field(ge=1, description="neighbours")
    temperature: float = Field(gt=0, description="T of the weights exp(cosine / T)")


class CollapseConfig(Model):
    """When a finished run is called collapsed."""

    min_std_ratio: float = Field(ge=0, le=1, description="std of l2-normalised z, times √d, must reach this")
    min_effective_rank: float = Field(ge=1, description="RankMe of the features must reach this")


class TrainingConfig(Model):
    """All numbers of a variant that the engine uses."""

    backbone: BackboneConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    epochs: int = Field(ge=0, description="passes over the pretraining images")
    batch_size: int = Field(ge=2, description="images per step (two views of each)")
    precision: Literal["fp32", "bf16", "auto"] = Field(
        description="bf16: autocast of forward passes, losses stay float32; auto: bf16 where the device has it natively"
    )
    channels_last: bool = Field(description="memory format of images and weights")
    grad_clip_norm: float | None = Field(description="clip the gradient's norm; null: off")
    checkpoint_epochs: int = Field(ge=1, description="save the state for resuming every this many epochs")
    monitor: MonitorConfig
    collapse: CollapseConfig

    @model_validator(mode="after")
    def _warmup_ends(self) -> TrainingConfig:
        if self.epochs and self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(f"schedule.warmup_epochs {self.schedule.warmup_epochs} of {self.epochs} epochs never ends")
        return self


class VariantConfig(Model):
    """A method with all its numbers: the row of a table."""

    label: str = Field(description="name in tables and figures")
    method: str = Field(description="name in the registry of methods")
    settings: dict[str, Any] = Field(default_factory=dict, description="the method's own numbers")
    training: TrainingConfig


class DatasetConfig(Model):
    """A data set and what its images dictate."""

    label: str = Field(description="name in tables and figures")
    reader: str = Field(description="name in the registry of readers")
    scale: str = Field(description="folder of config/variants whose numbers fit these images")
    image_side_px: int = Field(ge=8, description="side of the square images that the encoder sees")
    augmentation_overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="settings of augmentation ops, by op, that these images need otherwise",
    )


class OpsConfig(Model):
    """A list of image operations: an augmentation or a perturbation."""

    label: str = Field(description="name in tables and figures")
    base: str | None = Field(default=None, description="start from the operations of this one")
    remove: list[str] = Field(default_factory=list, description="operations of the base to leave out")
    ops: list[dict[str, dict[str, Any]]] = Field(default_factory=list, description="operations, in order")


class EvaluationConfig(Model):
    """A protocol with all its numbers."""

    label: str = Field(description="name in tables and figures")
    protocol: str = Field(description="name in the registry of evaluations")
    selection: str = Field(description="how hyperparameters were chosen; printed with each number")
    settings: dict[str, Any] = Field(description="the protocol's own numbers")


class BlockConfig(Model):
    """Runs of a suite: the product of four lists."""

    datasets: list[str] = Field(min_length=1, description="names in config/datasets")
    variants: list[str] = Field(min_length=1, description="names in config/variants/<scale>")
    augmentations: list[str] = Field(min_length=1, description="names in config/augmentations, or none")
    seeds: list[Seed] = Field(min_length=1, description="seeds of order, weights and draws")
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="training settings that replace those of each variant in this block"
    )


class SuiteConfig(Model):
    """A suite: which runs, evaluations, tables and figures."""

    suite: str = Field(description="name of the suite")
    title: str = Field(description="heading of the report")
    description: str = Field(description="what the suite can and cannot show; printed in the report")
    runs: list[BlockConfig] = Field(min_length=1, description="the runs are the union of these blocks")
    evaluations: list[str] = Field(min_length=1, description="names in config/evaluations")
    perturbations: list[str] = Field(min_length=1, description="names in config/perturbations; none must be there")
    tables: list[str] = Field(description="names in config/tables")
    figures: list[str] = Field(description="names in ddcl.report.figures")


def parse(model: type[M], values: Any, where: str) -> M:
    """Return `values` as a `model`; else a `UserError` naming each wrong key with its path and what is allowed.

    where: the file the values come from, for the message.
    """
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a mapping of keys to values, found {type(values).__name__}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, dict(item)) for item in error.errors(include_url=False)]
        raise UserError(f"{where}: " + "; ".join(lines)) from None


def _explain(model: type[BaseModel], item: dict[str, Any]) -> str:
    path = ".".join(str(key) for key in item["loc"]) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"unknown key {path!r}{did_you_mean(str(item['loc'][-1]), _fields_at(model, item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"missing key {path!r}"
    hint = ""
    if isinstance(item["input"], str) and item["type"].startswith("float"):
        hint = " (YAML reads 1e-5 as text: write 1.0e-5)"
    return f"{path}: {item['msg']}, found {item['input']!r}{hint}"


def _fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the allowed keys at `path` inside `model`, walking through lists and mappings."""
    current: Any = model
    for key in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and key in current.model_fields:
            current = current.model_fields[key].annotation
        else:  # an index of a list, or a key of a mapping: the element type is the last argument
            current = ([item for item in get_args(current) if item is not type(None)] or [None])[-1]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []


def suite_schema() -> str:
    """Return the JSON schema of suite files, as YAML: the reference of every key, also for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | SuiteConfig.model_json_schema()
    return yaml.safe_dump(schema, sort_keys=False, allow_unicode=True, width=120)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, where PyYAML would keep the last silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in the YAML file `path`; `UserError` if it is missing, unreadable or not a mapping."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except FileNotFoundError:
        names = [entry.stem for entry in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise UserError(f"{path}: no such file{did_you_mean(path.stem, names)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of keys to values, found {type(values).__name__}")
    return values


def merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `change` on top; mappings are merged key by key, anything else is replaced."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
