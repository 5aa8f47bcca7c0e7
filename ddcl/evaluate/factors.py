"""Which true factors of a clean image its features carry, part by part; for data sets whose factors are known.

Without it, an accuracy says only how much of the class is left: whether training kept the colour instead, as a factor
that two views share as well, it does not.
"""

from __future__ import annotations

import math

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

CLASSES = ("shape", "texture")  # balanced accuracy of a linear probe; of all others R² of ridge regression
CIRCLE = "hue"  # in turns: read as sine and cosine


def evaluate(task: ImageTask, sets: ColumnSets, settings: FactorsSettings) -> Measured:
    """Return how well each factor is read from each part and column set, of all test images.

    Readouts are fitted to all training images (`ddcl.evaluate.readout`).
    """
    if not task.factors["test"]:
        raise UserError(f"factors: the true factors of the images of {task.names[0]} are not known")
    pipeline = build_pipeline([], task.test.side_px, task.normalisation)
    features = {
        split: finite(encode(task.method, images, (pipeline, 0, 0)))
        for split, images in (("train", task.train), ("test", task.test))
    }
    values: dict[Address, NDArray[np.floating]] = {}
    for name in task.factors["test"]:
        train, test = (
            FactorData(
                features[split], _target(name, task.factors[split][name]).to(features[split].device), images.groups
            )
            for split, images in (("train", task.train), ("test", task.test))
        )
        read = read_classes if name in CLASSES else read_numbers
        readings = read(train, test, sets, settings, derive(*task.names, "factors"))
        values |= {(CLEAN, part, f"factor_{name}"): reading.scores[:, None] for part, reading in readings.items()}
    return Measured(values, len(task.test))


def _target(name: str, factor: NDArray[np.float64]) -> Tensor:
    """Return what is read of a factor [N]: [N, k] numbers, or classes [N, 1]."""
    value = torch.from_numpy(np.array(factor))[:, None]
    return torch.cat(((value * math.tau).sin(), (value * math.tau).cos()), dim=1) if name == CIRCLE else value
