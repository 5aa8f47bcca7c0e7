"""Settings of methods, evaluations and data-set readers, as typed models. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ddcl.core.config import Model

Strength = Annotated[float, Field(gt=0)]


class SimSiamSettings(Model):
    """Settings of `baselines.simsiam`."""

    projector_dim: int = Field(ge=1, description="width of all projector layers")
    projector_layers: Literal[2, 3] = Field(default=3, description="layers of the projector")
    predictor_hidden_dim: int = Field(ge=1, description="width of the predictor's bottleneck")
    fix_predictor_lr: bool = Field(default=True, description="the predictor's learning rate does not decay")


class SimSiamBaselineSettings(SimSiamSettings):
    """Settings of `baselines.simsiam` that DDCL does not share."""

    feature_frac: float = Field(
        default=1.0, gt=0, le=1, description="use only the first round(this · D) features: a control of DIR's width"
    )


class BarlowTwinsSettings(Model):
    """Settings of `baselines.barlow_twins`."""

    projector_dim: int = Field(ge=1, description="width of all projector layers")
    offdiag_weight: float = Field(ge=0, description="λ of the redundancy term, eq. 1")


class SplitSettings(Model):
    """What both forms of DDCL share."""

    dir_frac: float = Field(gt=0, lt=1, description="share of the features that is DIR")
    dvr_weight: float = Field(ge=0, description="weight of the distortion-disentangled loss")
    dvr_form: Literal["abs_of_mean", "mean_of_abs"] = Field(
        default="abs_of_mean",
        description="|mean cos|, as the official code, or mean |cos|, which does not let signs cancel between images",
    )
    dvr_groups: int = Field(
        default=1,
        ge=1,
        description="equal groups of the batch that abs_of_mean is taken of, then averaged; the official code takes it "
        "per GPU, of which its scripts use 2",
    )


class DDCLSettings(SplitSettings, SimSiamSettings):
    """Settings of `ddcl.method.DDCL`."""

    preg_weight: float = Field(
        default=0.0, ge=0, description="weight of PReg, which ties the heads' parameter norms; the official 0.001"
    )


class DDCLSymmetricSettings(SplitSettings, BarlowTwinsSettings):
    """Settings of `ddcl.method.DDCLSymmetric`."""


class NoSettings(Model):
    """For methods without numbers of their own."""


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


class ShapesSettings(Model):
    """Settings of `ddcl.data.readers.shapes:read_shapes`."""

    n_train: int = Field(ge=10, description="images of the training split")
    n_test: int = Field(ge=10, description="images of the test split")
    seed: int = Field(ge=0, description="of all factors")


class FashionMnistSettings(Model):
    """Settings of `ddcl.data.readers.arrays:read_fashion_mnist`."""

    n_train: int | None = Field(
        default=None, ge=10, description="use this many training images, the first of each class alike; null: all"
    )


class ImageNetSettings(Model):
    """Settings of `ddcl.data.readers.files:read_imagenet`."""

    classes: str | None = Field(
        default=None, description="file in config/datasets with one WordNet id a line: only these classes; null: all"
    )
    classes_sha256: str | None = Field(default=None, description="sha256 of that file")


class ImageFolderSettings(Model):
    """Settings of `ddcl.data.readers.files:read_image_folder`."""

    folder: str = Field(description="folder below data_root (or an absolute path) that holds the two split folders")
    train: str = Field(default="train", description="folder of the training images: one subfolder per class")
    test: str = Field(default="val", description="folder of the test images: the same subfolders")


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
