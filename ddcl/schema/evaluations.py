"""Settings of evaluations, as typed models. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ddcl.base.yaml_files import Model

Strength = Annotated[float, Field(gt=0)]


class LinearSettings(Model):
    """Settings of `ddcl.evaluate.linear`."""

    l2_weights: list[Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="candidates for the l2 penalty per image"
    )
    holdout_frac: float = Field(gt=0, lt=1, description="share of the training split on which the penalty is chosen")
    max_iterations: int = Field(ge=1, description="limit of L-BFGS iterations, each one pass over the features")


class KnnSettings(Model):
    """Settings of `ddcl.evaluate.knn`."""

    k: int = Field(ge=1, description="number of neighbours")
    also_k: list[Annotated[int, Field(ge=1)]] = Field(
        default=[], description="further numbers of neighbours, each a metric top1_k<number> from the same search"
    )
    temperature: float = Field(gt=0, description="T of the weights exp(cosine / T)")


class DiagnosticsSettings(LinearSettings):
    """Settings of `ddcl.evaluate.diagnostics`: how strong each distortion is, and how it is read (as `linear`)."""

    max_train_images: int = Field(ge=2, description="training images that readouts are fitted to, at most")
    max_test_images: int = Field(ge=2, description="test images that everything is measured on, at most")
    n_views: int = Field(ge=2, description="augmented views of each test image, for invariance")
    rotation_deg: float = Field(gt=0, le=180, description="angle uniform in [-this, this], degrees")
    brightness: Strength = Field(description="factor uniform in [1 - this, 1 + this]")
    contrast: Strength = Field(description="factor uniform in [1 - this, 1 + this]")
    saturation: Strength = Field(description="factor uniform in [1 - this, 1 + this]")
    hue_turns: float = Field(gt=0, le=0.5, description="shift uniform in [-this, this], turns of the hue circle")
    blur_sigma_px: list[Annotated[float, Field(gt=0)]] = Field(
        min_length=2, max_length=2, description="[low, high] of the blur's standard deviation, pixels"
    )
    crop_scale: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=2, max_length=2, description="[low, high] of the crop's area, share of the image's"
    )
    elastic_strength: Strength = Field(description="multiple of CAug+'s deformation, uniform in [0, this]")


class SgdSettings(Model):
    """SGD on augmented images, as the sources train their classifiers."""

    epochs: int = Field(ge=1, description="passes over the training images")
    batch_size: int = Field(ge=1, description="images per step")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(ge=0, description="l2 penalty")
    lr_classifier: float = Field(gt=0, description="learning rate of the classifier, times batch_size / 256")
    crop_scale: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        default=[0.08, 1.0], min_length=2, max_length=2, description="area of the random crops, share of the image's"
    )
    flip: bool = Field(default=True, description="mirror half of the images")
    save_epochs: int = Field(default=10, ge=1, description="save the state for resuming every this many epochs")


class OnlineSettings(SgdSettings):
    """Settings of `ddcl.evaluate.online`."""

    lars: bool = Field(default=False, description="LARS, trust 0.001: SimSiam's ImageNet probe, batch 4096")


class FinetuneSettings(SgdSettings):
    """Settings of `ddcl.evaluate.finetune`."""

    lr_backbone: float = Field(ge=0, description="learning rate of the encoder, times batch_size / 256")
    classifier_at_backbone_lr: bool = Field(
        default=False,
        description="train the classifier at lr_backbone, as the official code does by mistake: it looks for fc.weight "
        "after wrapping the network, which renames it",
    )
    subset: str | None = Field(
        default=None, description="train on the images of config/subsets/<data set>_<this>.json only; null: all"
    )
