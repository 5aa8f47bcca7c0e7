"""What exists, by name: methods, evaluations and data-set readers, with the types of their settings.

Configuration is checked against this file without importing torch, so classes are named as ``module:name`` and
imported where they are used. A new method has its file, its settings and one entry here, a variant, a golden test.
Plugins have no entry here (`ddcl.schema.plugins`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel

from ddcl.base.yaml_files import NoSettings
from ddcl.schema.evaluations import (
    DiagnosticsSettings,
    DriftSettings,
    EvaluationSettings,
    FactorsSettings,
    FinetuneSettings,
    KnnSettings,
    LinearSettings,
    OnlineSettings,
)
from ddcl.schema.methods import (
    AugSelfBarlowTwinsSettings,
    AugSelfSimSiamSettings,
    BarlowTwinsSettings,
    BYOLSettings,
    DDCLBYOLSettings,
    DDCLSettings,
    DDCLSymmetricSettings,
    DDCLVICRegSettings,
    EquiModSettings,
    ESSLSettings,
    GivenSplitSettings,
    IESSLSettings,
    MethodSettings,
    NoMethodSettings,
    SIESettings,
    SimCLRSettings,
    SimSiamBaselineSettings,
    SupConSettings,
    VICRegSettings,
)
from ddcl.schema.metrics import (
    ACCURACY,
    BEST_TEST_ACCURACY,
    DRIFT,
    EQUIVARIANCE,
    FACTORS,
    FACTORS_OF_SHAPES,
    GEOMETRY,
    OF_VIEWS,
    READOUTS,
    Metric,
)
from ddcl.schema.plugins import Registry
from ddcl.schema.readers import (
    EmojiSettings,
    FashionMnistSettings,
    ImageFolderSettings,
    ImageNetSettings,
    ShapesSettings,
    TextureNamesSettings,
    TexturesSettings,
)

TOP1 = ACCURACY.name
TOP1_BEST_TEST = BEST_TEST_ACCURACY.name


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
    """A method, and what is known of it without importing it; its class says the same.

    supervised: whether it is given the labels, which makes it a reference and no rival.
    encodes: whether there is a network; else only its features are here, of views of the test images, too, if `views`.
    """

    settings: type[MethodSettings]
    parts: tuple[str, ...] = ("full",)
    trains: bool = True
    supervised: bool = False
    encodes: bool = True
    views: bool = True

    @property
    def split(self) -> Literal["train", "pretrain"]:
        """The split that it is trained on: without labels `pretrain`, some images of which may have none."""
        return "train" if self.supervised else "pretrain"


@dataclass(frozen=True)
class EvaluationEntry(Entry):
    """A protocol, and what is known of it without importing it.

    settings: they also say what it has to do (`EvaluationSettings.work`).
    inputs: `features` (extracted once), `images` (it trains on them itself), or both.
    metrics: what it reports of each cell, whatever its settings: of `ddcl.schema.metrics`, or its own, made here.
    parts: the parts that it can be asked for; None: all.
    perturbed: whether it is also evaluated on perturbed test images.
    predicts: whether it predicts classes, or measures something else (`ddcl.evaluate.store.Measured`).
    min_random_draws: random column sets that a suite must ask for.
    needs_factors: whether it is for data sets whose images' true factors are known.
    ops: image operations of its own. Those of the run's augmentation are not named: the checkpoint is of their code.
    of_features: of a protocol on images, what it can measure of stored features alone (`ddcl.encoders.stages`).
    """

    settings: type[EvaluationSettings]
    inputs: tuple[Literal["features", "images"], ...] = ("features",)
    metrics: tuple[Metric, ...] = (ACCURACY,)
    parts: tuple[str, ...] | None = None
    perturbed: bool = True
    predicts: bool = True
    min_random_draws: int = 0
    needs_factors: bool = False
    ops: tuple[str, ...] = ()
    of_features: tuple[Metric, ...] = ()

    def metrics_of(self, settings: Mapping[str, object]) -> list[Metric]:
        """Return what it reports of each cell with these settings."""
        return [*self.metrics, *self.settings.model_validate(settings).further_metrics]


@dataclass(frozen=True)
class ReaderEntry(Entry):
    """A reader of a data set.

    factors: what is known of its images beside the class, by name.
    keeps_files: it gives files, which stay so unless the data set's YAML says otherwise; else it gives one array.
    """

    factors: tuple[str, ...] = ()
    keeps_files: bool = False


SPLIT_PARTS = ("full", "dir", "dvr")
RANDOM_PARTS = ("random_dir", "random_dvr")  # random columns, as many as DIR and DVR have
PART_LABELS = {"full": "whole", "dir": "DIR", "dvr": "DVR"}
PART_LABELS |= {"random_dir": "random, DIR’s width", "random_dvr": "random, DVR’s width"}
PARTS = (*SPLIT_PARTS, *RANDOM_PARTS)
SHAPES_FACTORS = tuple(FACTORS_OF_SHAPES)
PROBE_OPS = ("resized_crop", "horizontal_flip")  # of `ddcl.evaluate.sgd`


def part_names(method: MethodEntry, evaluation: EvaluationEntry, random: bool) -> list[str]:
    """Return the parts that an evaluation of a method gives cells for. random: with random columns as controls."""
    parts = (*method.parts, *(RANDOM_PARTS if random else ()))
    return [part for part in parts if evaluation.parts is None or part in evaluation.parts]


def given_method(split: bool, encodes: bool, views: bool) -> str:
    """Return the method of an encoder from elsewhere. views: of one that is not here, whether there are any."""
    return f"elsewhere{'' if encodes else '_views' if views else '_features'}{'_split' if split else ''}"


METHODS = Registry("method", MethodEntry)
METHODS |= {
    "ddcl": MethodEntry("ddcl.method:DDCL", DDCLSettings, SPLIT_PARTS),
    "ddcl_sym": MethodEntry("ddcl.method:DDCLSymmetric", DDCLSymmetricSettings, SPLIT_PARTS),
    "simsiam": MethodEntry("baselines.simsiam:SimSiam", SimSiamBaselineSettings),
    "barlow_twins": MethodEntry("baselines.barlow_twins:BarlowTwins", BarlowTwinsSettings),
    "byol": MethodEntry("baselines.byol:BYOL", BYOLSettings),
    "vicreg": MethodEntry("baselines.vicreg:VICReg", VICRegSettings),
    "simclr": MethodEntry("baselines.simclr:SimCLR", SimCLRSettings),
    "augself": MethodEntry("baselines.augself:AugSelfSimSiam", AugSelfSimSiamSettings),
    "augself_barlow_twins": MethodEntry("baselines.augself:AugSelfBarlowTwins", AugSelfBarlowTwinsSettings),
    "e_ssl": MethodEntry("baselines.e_ssl:ESSL", ESSLSettings),
    "equimod": MethodEntry("baselines.equimod:EquiMod", EquiModSettings),
    "sie": MethodEntry("baselines.sie:SIE", SIESettings, SPLIT_PARTS),
    "ie_ssl": MethodEntry("baselines.ie_ssl:IESSL", IESSLSettings, SPLIT_PARTS),
    "supcon": MethodEntry("baselines.supcon:SupCon", SupConSettings, supervised=True),
    "cross_entropy": MethodEntry("baselines.cross_entropy:CrossEntropy", NoMethodSettings, supervised=True),
    "ddcl_byol": MethodEntry("ddcl.other_bases:DDCLOnBYOL", DDCLBYOLSettings, SPLIT_PARTS),
    "ddcl_vicreg": MethodEntry("ddcl.other_bases:DDCLOnVICReg", DDCLVICRegSettings, SPLIT_PARTS),
    "random_init": MethodEntry("baselines.random_init:RandomInit", NoMethodSettings, trains=False),
}


def _given(split: bool, encodes: bool, views: bool) -> MethodEntry:
    target, settings = ("SplitFromElsewhere", GivenSplitSettings) if split else ("FromElsewhere", NoMethodSettings)
    parts = SPLIT_PARTS if split else ("full",)
    target = f"baselines.from_elsewhere:{target}"
    return MethodEntry(target, settings, parts, trains=False, encodes=encodes, views=views)


_KINDS = [(split, *own) for split in (False, True) for own in ((True, True), (False, True), (False, False))]
GIVEN_METHODS = tuple(given_method(*own) for own in _KINDS)  # of config/encoders, never of a variant
GIVEN = GIVEN_METHODS[0]
METHODS |= {name: _given(*own) for name, own in zip(GIVEN_METHODS, _KINDS, strict=True)}

EVALUATIONS = Registry("protocol", EvaluationEntry)
EVALUATIONS |= {
    "linear": EvaluationEntry("ddcl.evaluate.linear:evaluate", LinearSettings),
    "knn": EvaluationEntry("ddcl.evaluate.knn:evaluate", KnnSettings),
    "online": EvaluationEntry(
        "ddcl.evaluate.online:evaluate",
        OnlineSettings,
        inputs=("features", "images"),
        metrics=(ACCURACY, BEST_TEST_ACCURACY),
        ops=PROBE_OPS,
    ),
    "finetune": EvaluationEntry(
        "ddcl.evaluate.finetune:evaluate",
        FinetuneSettings,
        inputs=("images",),
        metrics=(ACCURACY, BEST_TEST_ACCURACY),
        parts=("full",),
        perturbed=False,
        ops=PROBE_OPS,
    ),
    "diagnostics": EvaluationEntry(
        "ddcl.evaluate.diagnostics:evaluate",
        DiagnosticsSettings,
        inputs=("images",),
        metrics=(*READOUTS, *GEOMETRY, *EQUIVARIANCE),
        of_features=GEOMETRY,
        perturbed=False,
        predicts=False,
        min_random_draws=10,
        ops=("resized_crop", "color_jitter", "gaussian_blur", "horizontal_flip", "rotation", "elastic_strength"),
    ),
    "factors": EvaluationEntry(
        "ddcl.evaluate.factors:evaluate",
        FactorsSettings,
        inputs=("images",),
        metrics=FACTORS,
        of_features=FACTORS,
        perturbed=False,
        predicts=False,
        needs_factors=True,
    ),
    "drift": EvaluationEntry("ddcl.evaluate.drift:evaluate", DriftSettings, metrics=(DRIFT,), predicts=False),
}


def protocol_of(method: str, protocol: str) -> EvaluationEntry | None:
    """Return what a protocol takes of a method, and measures; None where it cannot be: there is no network for it."""
    own, entry = METHODS[method], EVALUATIONS[protocol]
    if own.encodes or entry.inputs == ("features",):
        return entry
    metrics = tuple(metric for metric in entry.of_features if own.views or metric.name not in OF_VIEWS)
    return replace(entry, inputs=("features",), metrics=metrics) if metrics else None


READERS = Registry("reader", ReaderEntry)
READERS |= {
    "digits": ReaderEntry("ddcl.data.readers.arrays:read_digits", NoSettings),
    "shapes": ReaderEntry("ddcl.data.readers.shapes:read_shapes", ShapesSettings, SHAPES_FACTORS),
    "fashion_mnist": ReaderEntry("ddcl.data.readers.arrays:read_fashion_mnist", FashionMnistSettings),
    "cifar10": ReaderEntry("ddcl.data.readers.arrays:read_cifar10", NoSettings),
    "cifar100": ReaderEntry("ddcl.data.readers.arrays:read_cifar100", NoSettings),
    "stl10": ReaderEntry("ddcl.data.readers.arrays:read_stl10", NoSettings),
    "textures": ReaderEntry("ddcl.data.readers.textures:read_texture_identity", TexturesSettings),
    "texture_names": ReaderEntry("ddcl.data.readers.textures:read_texture_names", TextureNamesSettings),
    "emoji": ReaderEntry("ddcl.data.readers.emoji:read_emoji", EmojiSettings),
    "tiny_imagenet": ReaderEntry("ddcl.data.readers.arrays:read_tiny_imagenet", NoSettings),
    "imagenet": ReaderEntry("ddcl.data.readers.files:read_imagenet", ImageNetSettings, keeps_files=True),
    "imagenette": ReaderEntry("ddcl.data.readers.files:read_imagenette", NoSettings, keeps_files=True),
    "cub200": ReaderEntry("ddcl.data.readers.files:read_cub200", NoSettings, keeps_files=True),
    "flowers102": ReaderEntry("ddcl.data.readers.files:read_flowers102", NoSettings, keeps_files=True),
    "food101": ReaderEntry("ddcl.data.readers.files:read_food101", NoSettings, keeps_files=True),
    "pets": ReaderEntry("ddcl.data.readers.files:read_pets", NoSettings, keeps_files=True),
    "image_folder": ReaderEntry("ddcl.data.readers.files:read_image_folder", ImageFolderSettings, keeps_files=True),
}
