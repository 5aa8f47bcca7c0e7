"""The numbers of a variant that the engine uses: what the section `training` of its YAML may say. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from ddcl.base.yaml_files import MOST, Count, Model

MOST_WIDTH = 2**17  # of a layer; a wider one was typed wrong
MOST_RATE = 1e6  # of a learning rate; a higher one was typed wrong
MOST_EPOCHS = 10**6
EXPANSION = {"basic": 1, "bottleneck": 4}  # output channels of a residual block, times its width
Status: TypeAlias = Literal["ok", "collapsed", "diverged"]  # how a training ended


class BackboneConfig(Model):
    """A ResNet, built by timm (`ddcl.core.encoders`)."""

    block: Literal["basic", "bottleneck"] = Field(description="residual block: two 3×3, or 1×1-3×3-1×1 convolutions")
    blocks: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        min_length=1, max_length=4, description="blocks per stage; [2, 2, 2, 2] is ResNet-18"
    )
    widths: list[Annotated[int, Field(ge=2, le=MOST_WIDTH)]] = Field(
        min_length=1, max_length=4, description="channels per stage, before expansion"
    )
    stem: Literal["3x3", "7x7"] = Field(description="first convolution: 3×3 for small images, 7×7 stride 2 otherwise")
    stem_stride: int = Field(ge=1, le=2, description="stride of the stem")
    max_pool: bool = Field(description="3×3 max-pool of stride 2 after the stem")
    init: Literal["kaiming", "torch"] = Field(
        description="convolutions: Kaiming normal, fan out (torchvision's ResNet), or torch's default of Conv2d"
    )
    zero_init_last: bool = Field(description="scale of each residual branch's last BatchNorm starts at 0")

    @property
    def feature_dim(self) -> int:
        """Width of the features: the channels that the last stage gives."""
        return self.widths[-1] * EXPANSION[self.block]

    @property
    def name(self) -> str:
        """The usual name of the network, such as ResNet-18; for others, its blocks and widths."""
        usual: dict[tuple[str, tuple[int, ...]], str]
        usual = {("basic", (2, 2, 2, 2)): "ResNet-18", ("bottleneck", (3, 4, 6, 3)): "ResNet-50"}
        name = usual.get((self.block, tuple(self.blocks)))
        if name and self.widths == [64, 128, 256, 512]:
            return name
        return f"ResNet {self.block} {'-'.join(map(str, self.blocks))}, widths {'-'.join(map(str, self.widths))}"

    @model_validator(mode="after")
    def _same_length(self) -> BackboneConfig:
        if len(self.blocks) != len(self.widths):
            raise ValueError(f"blocks has {len(self.blocks)} stages, widths has {len(self.widths)}")
        if self.widths[0] % 2:
            raise ValueError(f"widths: the first must be even, found {self.widths[0]}")
        return self


class OptimizerConfig(Model):
    """Optimiser and the learning rate it starts from."""

    name: Literal["sgd", "lars", "adam", "adamw"] = Field(description="update rule")
    base_lr: float = Field(gt=0, le=MOST_RATE, description="learning rate, before `lr_scaling`")
    lr_scaling: Literal["batch/256", "none"] = Field(description="multiply base_lr by batch_size / 256, or not")
    momentum: float = Field(ge=0, lt=1, description="SGD, LARS: momentum. Adam(W): β1")
    weight_decay: float = Field(ge=0, le=1, description="l2 penalty (SGD, LARS, Adam) or decoupled decay (AdamW)")
    decay_1d: bool = Field(description="apply weight decay to biases and BatchNorm parameters too")
    lars_trust_coefficient: float = Field(
        default=0.001, gt=0, le=1, description="LARS η; 1-D parameters are not adapted"
    )
    base_lr_1d: float | None = Field(
        default=None,
        gt=0,
        le=MOST_RATE,
        description="base_lr of biases and BatchNorm parameters; null: the same as for weights",
    )


class ScheduleConfig(Model):
    """Cosine decay of the learning rate, after a linear warm-up that is part of the epochs."""

    per: Literal["epoch", "step"] = Field(description="whether the rate changes each epoch or each step")
    warmup_epochs: int = Field(
        ge=0,
        le=MOST_EPOCHS,
        description="epochs of linear warm-up: per step from 0; per epoch at (e + 1) / (this + 1) of the rate",
    )
    final_lr_frac: float = Field(ge=0, le=1, description="the cosine ends at this share of the initial rate")
    extra_warmup_epochs: int = Field(
        default=0,
        ge=0,
        le=MOST_EPOCHS,
        description="epochs before the main ones, as in the official DDCL code: an optimiser of their own that is then "
        "thrown away, rate 1e-9 + lr · e / n for every parameter, and one order of images for all of them",
    )


class MonitorConfig(Model):
    """kNN on held-out training images while training; the test split is not touched."""

    every_epochs: Count = Field(description="monitor every this many epochs, before the first and after the last")
    holdout_frac: float = Field(gt=0, lt=1, description="share of the training images that are queries")
    k: Count = Field(description="neighbours")
    temperature: float = Field(ge=1e-3, le=1e3, description="T of the weights exp(cosine / T)")
    max_images: int | None = Field(default=None, ge=10, le=MOST, description="use this many training images; null: all")


class CollapseConfig(Model):
    """When a finished run is called collapsed."""

    min_std_ratio: float = Field(ge=0, le=1, description="std of l2-normalised z, times √d, must reach this")
    min_effective_rank: float = Field(ge=1, le=MOST_WIDTH, description="RankMe of the features must reach this")


class TrainingConfig(Model):
    """All numbers of a variant that the engine uses."""

    backbone: BackboneConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    epochs: int = Field(ge=0, le=MOST_EPOCHS, description="passes over the pretraining images")
    batch_size: int = Field(ge=2, le=MOST, description="images per step (two views of each), of all processes together")
    processes: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="processes that train together, one GPU each; they share every batch equally",
    )
    precision: Literal["fp32", "bf16", "auto"] = Field(
        description="bf16: autocast of forward passes, losses stay float32; auto: bf16 where the device has it natively"
    )
    channels_last: bool = Field(description="memory format of images and weights")
    compile: bool = Field(
        default=False, description="compile the encoder (torch.compile): about a minute at the start, then faster steps"
    )
    grad_clip_norm: float | None = Field(gt=0, description="clip the gradient's norm; null: off")
    checkpoint_epochs: Count = Field(description="save the state for resuming every this many epochs")
    monitor: MonitorConfig
    collapse: CollapseConfig

    @model_validator(mode="after")
    def _batch_is_shared_equally(self) -> TrainingConfig:
        if self.batch_size % self.processes or self.batch_size < 2 * self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared equally by {self.processes} processes, with two images "
                "or more for each"
            )
        return self

    @model_validator(mode="after")
    def _limit_can_be_reached(self) -> TrainingConfig:
        rank, width = self.collapse.min_effective_rank, self.backbone.feature_dim
        if rank > width:
            raise ValueError(f"collapse.min_effective_rank {rank:g} is more than the {width} features have")
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> TrainingConfig:
        if self.epochs and self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(f"schedule.warmup_epochs {self.schedule.warmup_epochs} of {self.epochs} epochs never ends")
        return self
