"""What exists, by name: methods, evaluations and data-set readers, with the types of their settings.

Configuration is checked against this file without importing torch, so classes are named as ``module:name`` and
imported where they are used. A new method has its file, its settings and one entry here, a variant, a golden test.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ddcl.core.config import Model


class SimSiamSettings(Model):
    """Settings of `baselines.simsiam`."""

    projector_dim: int = Field(ge=1, description="width of all projector layers")
    predictor_hidden_dim: int = Field(ge=1, description="width of the predictor's bottleneck")


class BarlowTwinsSettings(Model):
    """Settings of `baselines.barlow_twins`."""

    projector_dim: int = Field(ge=1, description="width of all projector layers")
    offdiag_weight: float = Field(ge=0, description="λ of the redundancy term, eq. 1")


class DDCLSettings(SimSiamSettings):
    """Settings of `ddcl.method.DDCL`."""

    dir_frac: float = Field(gt=0, lt=1, description="share of the features that is DIR")
    dvr_weight: float = Field(ge=0, description="weight of the distortion-disentangled loss")


class DDCLSymmetricSettings(BarlowTwinsSettings):
    """Settings of `ddcl.method.DDCLSymmetric`."""

    dir_frac: float = Field(gt=0, lt=1, description="share of the features that is DIR")
    dvr_weight: float = Field(ge=0, description="weight of the distortion-disentangled loss")


class NoSettings(Model):
    """For methods without numbers of their own."""


class LinearSettings(Model):
    """Settings of `ddcl.evaluate.linear`."""

    l2_weights: list[Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="candidates for the l2 penalty per image"
    )
    holdout_frac: float = Field(gt=0, lt=1, description="share of the training split on which the penalty is chosen")
    max_iterations: int = Field(ge=1, description="limit of L-BFGS iterations")


class KnnSettings(Model):
    """Settings of `ddcl.evaluate.knn`."""

    k: int = Field(ge=1, description="number of neighbours")
    temperature: float = Field(gt=0, description="T of the weights exp(cosine / T)")
    chunk_images: int = Field(ge=1, description="test images per similarity block; bounds the memory")


@dataclass(frozen=True)
class Entry:
    """A registered class or function, the type of its settings, and what is known of it without importing it."""

    target: str
    settings: type[BaseModel]
    parts: tuple[str, ...] = ("full",)
    trains: bool = True

    def load(self) -> Any:
        """Import and return the class or function."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


SPLIT_PARTS = ("full", "dir", "dvr")

METHODS = {
    "ddcl": Entry("ddcl.method:DDCL", DDCLSettings, SPLIT_PARTS),
    "ddcl_sym": Entry("ddcl.method:DDCLSymmetric", DDCLSymmetricSettings, SPLIT_PARTS),
    "simsiam": Entry("baselines.simsiam:SimSiam", SimSiamSettings),
    "barlow_twins": Entry("baselines.barlow_twins:BarlowTwins", BarlowTwinsSettings),
    "random_init": Entry("baselines.random_init:RandomInit", NoSettings, trains=False),
}

EVALUATIONS = {
    "linear": Entry("ddcl.evaluate.linear:evaluate", LinearSettings),
    "knn": Entry("ddcl.evaluate.knn:evaluate", KnnSettings),
}

READERS = {
    "digits": Entry("ddcl.data.datasets:read_digits", NoSettings),
}
