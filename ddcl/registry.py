"""What exists, by name: methods, evaluations and data-set readers, with the types of their settings.

Configuration is checked against this file without importing torch, so classes are named as ``module:name`` and
imported where they are used. A new method has its file, its settings and one entry here, a variant, a golden test.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ddcl.core.config import Model

TOP1 = "top1"  # accuracy after the last epoch, or with hyperparameters chosen on the training split
TOP1_BEST_TEST = "top1_best_test_epoch"  # of the epoch that is best on the test split: too high, but as published


def knn_metric(k: int) -> str:
    """Return the metric of a further number of neighbours."""
    return f"{TOP1}_k{k}"


def is_knn_metric(metric: str) -> bool:
    """Return whether a metric is one of `knn_metric`."""
    return metric.removeprefix(f"{TOP1}_k").isdigit()


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


Strength = Annotated[float, Field(gt=0)]


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


@dataclass(frozen=True)
class Entry:
    """A registered class or function, and the type of its settings."""

    target: str
    settings: type[BaseModel]

    def load(self) -> Any:
        """Import and return the class or function."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class MethodEntry(Entry):
    """A method, and what is known of it without importing it."""

    parts: tuple[str, ...] = ("full",)
    trains: bool = True


@dataclass(frozen=True)
class EvaluationEntry(Entry):
    """A protocol, and what is known of it without importing it.

    inputs: `features` (extracted once), `images` (it trains on them itself), or both.
    metrics: what it reports of each cell, whatever its settings.
    parts: the parts that it can be asked for; None: all.
    perturbed: whether it is also evaluated on perturbed test images.
    predicts: whether it predicts classes, or measures something else (`ddcl.evaluate.store.Measured`).
    min_random_draws: random column sets that a suite must ask for.
    """

    inputs: tuple[Literal["features", "images"], ...] = ("features",)
    metrics: tuple[str, ...] = (TOP1,)
    parts: tuple[str, ...] | None = None
    perturbed: bool = True
    predicts: bool = True
    min_random_draws: int = 0

    def metrics_of(self, settings: dict[str, Any]) -> list[str]:
        """Return what it reports of each cell with these settings."""
        own = self.settings.model_validate(settings)
        also_k = own.also_k if isinstance(own, KnnSettings) else []
        return [*self.metrics, *map(knn_metric, also_k)]


SPLIT_PARTS = ("full", "dir", "dvr")
RANDOM_PARTS = ("random_dir", "random_dvr")  # random columns, as many as DIR and DVR have

READOUTS = (  # R² on held-out images of the distortion that was applied; of `flip` the balanced accuracy
    *("readout_angle", "readout_brightness", "readout_contrast", "readout_saturation", "readout_hue", "readout_blur"),
    *("readout_crop_x", "readout_crop_y", "readout_crop_size", "readout_elastic", "readout_flip", "readout_shuffled"),
)
COSINES = ("abs_mean_cosine", "mean_abs_cosine", "sd_cosine", "mean_abs_cosine_shuffled")
CKA = "cka_dir_dvr"
GEOMETRY = ("invariance", *COSINES, CKA, "effective_rank", "std_ratio", "alignment", "uniformity")
DRIFT = "drift"


def has_cell(part: str, perturbation: str, metric: str = TOP1) -> bool:
    """Return whether a metric of a part is measured under a perturbation.

    Random parts are not classified under members of a family; CKA is that of a (random) DVR with the other columns.
    """
    if metric == CKA:
        return part in ("dvr", "random_dvr")
    return part not in RANDOM_PARTS or "." not in perturbation or metric == DRIFT


def part_names(method: MethodEntry, evaluation: EvaluationEntry, random: bool) -> list[str]:
    """Return the parts that an evaluation of a method gives cells for. random: with random columns as controls."""
    parts = (*method.parts, *(RANDOM_PARTS if random else ()))
    return [part for part in parts if evaluation.parts is None or part in evaluation.parts]


METHODS = {
    "ddcl": MethodEntry("ddcl.method:DDCL", DDCLSettings, SPLIT_PARTS),
    "ddcl_sym": MethodEntry("ddcl.method:DDCLSymmetric", DDCLSymmetricSettings, SPLIT_PARTS),
    "simsiam": MethodEntry("baselines.simsiam:SimSiam", SimSiamBaselineSettings),
    "barlow_twins": MethodEntry("baselines.barlow_twins:BarlowTwins", BarlowTwinsSettings),
    "random_init": MethodEntry("baselines.random_init:RandomInit", NoSettings, trains=False),
}

EVALUATIONS = {
    "linear": EvaluationEntry("ddcl.evaluate.linear:evaluate", LinearSettings),
    "knn": EvaluationEntry("ddcl.evaluate.knn:evaluate", KnnSettings),
    "online": EvaluationEntry(
        "ddcl.evaluate.online:evaluate", OnlineSettings, inputs=("features", "images"), metrics=(TOP1, TOP1_BEST_TEST)
    ),
    "finetune": EvaluationEntry(
        "ddcl.evaluate.finetune:evaluate",
        FinetuneSettings,
        inputs=("images",),
        metrics=(TOP1, TOP1_BEST_TEST),
        parts=("full",),
        perturbed=False,
    ),
    "diagnostics": EvaluationEntry(
        "ddcl.evaluate.diagnostics:evaluate",
        DiagnosticsSettings,
        inputs=("images",),
        metrics=(*READOUTS, *GEOMETRY),
        perturbed=False,
        predicts=False,
        min_random_draws=20,
    ),
    "drift": EvaluationEntry("ddcl.evaluate.drift:evaluate", NoSettings, metrics=(DRIFT,), predicts=False),
}

READERS = {
    "digits": Entry("ddcl.data.readers.arrays:read_digits", NoSettings),
    "shapes": Entry("ddcl.data.readers.shapes:read_shapes", ShapesSettings),
    "fashion_mnist": Entry("ddcl.data.readers.arrays:read_fashion_mnist", FashionMnistSettings),
    "cifar10": Entry("ddcl.data.readers.arrays:read_cifar10", NoSettings),
    "cifar100": Entry("ddcl.data.readers.arrays:read_cifar100", NoSettings),
    "stl10": Entry("ddcl.data.readers.arrays:read_stl10", NoSettings),
    "tiny_imagenet": Entry("ddcl.data.readers.arrays:read_tiny_imagenet", NoSettings),
    "imagenet": Entry("ddcl.data.readers.files:read_imagenet", ImageNetSettings),
    "imagenette": Entry("ddcl.data.readers.files:read_imagenette", NoSettings),
    "cub200": Entry("ddcl.data.readers.files:read_cub200", NoSettings),
    "flowers102": Entry("ddcl.data.readers.files:read_flowers102", NoSettings),
    "food101": Entry("ddcl.data.readers.files:read_food101", NoSettings),
    "pets": Entry("ddcl.data.readers.files:read_pets", NoSettings),
    "image_folder": Entry("ddcl.data.readers.files:read_image_folder", ImageFolderSettings),
}


def keeps_files(reader: str) -> bool:
    """Return whether a reader's images stay in files, decoded when they are needed, or become one array."""
    return READERS[reader].target.startswith("ddcl.data.readers.files:")
