"""Settings of evaluations, as typed models, and what each protocol will have to do. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ddcl.base.yaml_files import MOST, Count, Model, each_once
from ddcl.schema.metrics import EQUIVARIANT_TO, Metric, knn_accuracy
from ddcl.schema.names import Name
from ddcl.schema.ops import PositiveRange, ShareRange
from ddcl.schema.training import MOST_EPOCHS, MOST_RATE

Strength = Annotated[float, Field(gt=0, le=1000)]  # a larger one was typed wrong
DISTORTED = 10  # times that diagnostics encode an image: under nine distortions, and clean


class TaskSize(Model):
    """How large the task is that a protocol is given: one run on one data set.

    n_train, n_test: images that it may train on and is tested on. n_classes: of the data set.
    width: columns of the features. column_sets: sets of them that are evaluated, random ones included.
    passes: times that the features of all test images are gone through, over draws and column sets.
    """

    n_train: int
    n_test: int
    n_classes: int
    width: int
    column_sets: int
    passes: int


class Work(Model):
    """What a protocol has to do.

    trained, encoded: images that go through the network, forward and back or forward only.
    held: images whose features it has in memory at once, float32.
    flops: of its work on features: two for each multiplication.
    weights: numbers that its solver fits together.
    """

    trained: int = 0
    encoded: int = 0
    held: int = 0
    flops: float = 0.0
    weights: int = 0


class EvaluationSettings(Model):
    """Base of the settings of all protocols."""

    @property
    def train_list(self) -> str | None:
        """Name of the list (config/subsets) of the only images that it trains on; None: all of the split."""
        return None

    @property
    def further_metrics(self) -> list[Metric]:
        """What it reports with these settings, beside the metrics of its registry entry."""
        return []

    def work(self, size: TaskSize) -> Work:
        """Return what there is to do with these settings; `ddcl plan` and the jobs' resources are made of it."""
        raise NotImplementedError(f"{type(self).__name__} does not define work(size) -> Work")


class LinearSettings(EvaluationSettings):
    """Settings of `ddcl.evaluate.linear`."""

    l2_weights: Annotated[list[Annotated[float, Field(gt=0, le=1e6)]], AfterValidator(each_once)] = Field(
        min_length=1, description="candidates for the l2 penalty per image"
    )
    holdout_frac: float = Field(gt=0, lt=1, description="share of the training split on which the penalty is chosen")
    max_iterations: Count = Field(description="limit of L-BFGS iterations, each one pass over the features")

    def work(self, size: TaskSize) -> Work:
        """Every column set with every penalty, as if no fit ended early."""
        weights = size.width * size.n_classes * size.column_sets * len(self.l2_weights)
        return Work(flops=4.0 * size.n_train * weights * self.max_iterations, weights=weights)


class KnnSettings(EvaluationSettings):
    """Settings of `ddcl.evaluate.knn`."""

    k: Count = Field(description="number of neighbours")
    also_k: Annotated[list[Count], AfterValidator(each_once)] = Field(
        default=[], description="further numbers of neighbours, each a metric top1_k<number> from the same search"
    )
    temperature: float = Field(ge=1e-3, le=1e3, description="T of the weights exp(cosine / T)")

    @property
    def further_metrics(self) -> list[Metric]:
        return [knn_accuracy(k) for k in self.also_k]

    def work(self, size: TaskSize) -> Work:
        """All pairs of test and training images."""
        return Work(flops=2.0 * size.n_train * size.n_test * size.width * size.passes)


class DriftSettings(EvaluationSettings):
    """`ddcl.evaluate.drift` has no numbers of its own."""

    def work(self, size: TaskSize) -> Work:
        """Each test image with itself."""
        return Work(flops=2.0 * size.n_test * size.width * size.passes)


class FactorsSettings(LinearSettings):
    """Settings of `ddcl.evaluate.factors`: how factors are read (as `linear`)."""

    def work(self, size: TaskSize) -> Work:
        """Encode all images once; the readouts take little beside that."""
        n = size.n_train + size.n_test
        return Work(encoded=n, held=n)


class DiagnosticsSettings(LinearSettings):
    """Settings of `ddcl.evaluate.diagnostics`: how strong each distortion is, and how it is read (as `linear`)."""

    max_train_images: int = Field(ge=2, le=MOST, description="training images that readouts are fitted to, at most")
    max_test_images: int = Field(ge=2, le=MOST, description="test images that everything is measured on, at most")
    n_views: int = Field(ge=2, le=1000, description="augmented views of each test image, for invariance")
    n_moved_images: int = Field(ge=2, le=MOST, description="test images whose views are ranked, at most")
    n_moved_views: int = Field(
        ge=2, le=100, description="views of each of them, under every distortion for which features are mapped"
    )
    rotation_deg: float = Field(gt=0, le=180, description="angle uniform in [-this, this], degrees")
    brightness: Strength = Field(description="factor uniform in [1 - this, 1 + this]")
    contrast: Strength = Field(description="factor uniform in [1 - this, 1 + this]")
    saturation: Strength = Field(description="factor uniform in [1 - this, 1 + this]")
    hue_turns: float = Field(gt=0, le=0.5, description="shift uniform in [-this, this], turns of the hue circle")
    blur_sigma_px: PositiveRange = Field(description="[low, high] of the blur's standard deviation, pixels")
    crop_scale: ShareRange = Field(description="[low, high] of the crop's area, share of the image's")
    elastic_strength: Strength = Field(
        description="multiple of the authors' deformation, scaled to the side, uniform in [0, this]"
    )

    def work(self, size: TaskSize) -> Work:
        """Encode some images under every distortion, and views of those for testing; the fits take little beside."""
        n_train, n_test = min(size.n_train, self.max_train_images), min(size.n_test, self.max_test_images)
        n = DISTORTED * n_train + (DISTORTED + self.n_views) * n_test
        moved = self.n_moved_views * min(n_test, self.n_moved_images)  # under one distortion, one after the other
        return Work(encoded=n + len(EQUIVARIANT_TO) * moved, held=n + moved)


class SgdSettings(EvaluationSettings):
    """SGD on augmented images, as the sources train their classifiers."""

    epochs: int = Field(ge=1, le=MOST_EPOCHS, description="passes over the training images")
    batch_size: int = Field(ge=2, le=MOST, description="images per step")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(ge=0, le=1, description="l2 penalty")
    lr_classifier: float = Field(
        gt=0, le=MOST_RATE, description="learning rate of the classifier, times batch_size / 256"
    )
    crop_scale: ShareRange = Field(default=[0.08, 1.0], description="area of the random crops, share of the image's")
    flip: bool = Field(default=True, description="mirror half of the images")
    save_epochs: Count = Field(default=10, description="save the state for resuming every this many epochs")


class OnlineSettings(SgdSettings):
    """Settings of `ddcl.evaluate.online`."""

    lars: bool = Field(
        default=False, description="LARC, trust 0.001, weight and bias adapted: SimSiam's ImageNet probe, batch 4096"
    )

    def work(self, size: TaskSize) -> Work:
        """The encoder is frozen; the classifiers take little beside it."""
        return Work(encoded=self.epochs * size.n_train)


class FinetuneSettings(SgdSettings):
    """Settings of `ddcl.evaluate.finetune`."""

    lr_backbone: float = Field(ge=0, le=MOST_RATE, description="learning rate of the encoder, times batch_size / 256")
    classifier_at_backbone_lr: bool = Field(
        default=False,
        description="train the classifier at lr_backbone, as the official code does by mistake: it looks for fc.weight "
        "after wrapping the network, which renames it",
    )
    subset: Name | None = Field(
        default=None, description="train only on the images of config/subsets/<data set>_<this>.json; null: all"
    )

    @property
    def train_list(self) -> str | None:
        return self.subset

    def work(self, size: TaskSize) -> Work:
        """The network is tested after every epoch."""
        return Work(trained=self.epochs * size.n_train, encoded=self.epochs * size.n_test)
