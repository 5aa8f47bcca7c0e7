"""Which true factors of a clean image each part of its features encodes; for data sets with known factors.

A class accuracy only shows how much information about the class is left. It does not show whether training kept
another factor that two views share, such as the colour, instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.build import build_pipeline
from ddcl.core.seeds import derive
from ddcl.evaluate.encode import encode, finite
from ddcl.evaluate.readout import FactorData, read_classes, read_numbers
from ddcl.evaluate.sgd import ImageTask
from ddcl.evaluate.store import Address, ColumnSets, Measured
from ddcl.schema.evaluations import FactorsSettings
from ddcl.schema.names import CLEAN

CLASSES = ("shape", "texture")  # scored by balanced accuracy of a linear probe; all others by R² of ridge regression
CIRCLE = "hue"  # in turns: read as sine and cosine


def evaluate(task: ImageTask, sets: ColumnSets, settings: FactorsSettings) -> Measured:
    """Return how well each factor can be read from each part and column set, on all test images.

    Readouts are fitted to all training images (`ddcl.evaluate.readout`).
    """
    if not task.factors["test"]:
        raise UserError(f"factors: data set {task.names[0]} has no known factors of its images")
    pipeline = build_pipeline([], task.test.side_px, task.normalisation)
    train, test = (
        Known(finite(encode(task.method, images, (pipeline, 0, 0))), images.groups, task.factors[split])
        for split, images in (("train", task.train), ("test", task.test))
    )
    return read_all(train, test, sets, settings, derive(*task.names, "factors"))


@dataclass(frozen=True)
class Known:
    """A split: features [N, D], groups [N] of images that are not independent, and true factors [N] by name."""

    features: Tensor
    groups: Tensor | None
    factors: Mapping[str, NDArray[np.float64]]

    def data(self, name: str) -> FactorData:
        """Return the split for the readout of one factor."""
        return FactorData(self.features, _target(name, self.factors[name]).to(self.features.device), self.groups)


def read_all(train: Known, test: Known, sets: ColumnSets, settings: FactorsSettings, seed: int) -> Measured:
    """Return how well each factor is read from each part and column set of `test`, fitted to `train`."""
    values: dict[Address, NDArray[np.floating]] = {}
    for name in test.factors:
        read = read_classes if name in CLASSES else read_numbers
        readings = read(train.data(name), test.data(name), sets, settings, seed)
        values |= {(CLEAN, part, f"factor_{name}"): reading.scores[:, None] for part, reading in readings.items()}
    return Measured(values, len(test.features))


def _target(name: str, factor: NDArray[np.float64]) -> Tensor:
    """Return the readout target of a factor [N]: [N, k] numbers, or classes [N, 1]."""
    value = torch.from_numpy(np.array(factor))[:, None]
    return torch.cat(((value * math.tau).sin(), (value * math.tau).cos()), dim=1) if name == CIRCLE else value
