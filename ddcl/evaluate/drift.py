"""Drift: how much a perturbation changes the features of an image, per part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.evaluate.store import Address, FeatureTask, Measured
from ddcl.schema.evaluations import DriftSettings
from ddcl.schema.feature_index import CLEAN_DRAW
from ddcl.schema.metrics import DRIFT
from ddcl.schema.names import CLEAN


def evaluate(task: FeatureTask, settings: DriftSettings) -> Measured:
    """Return 1 − cosine of the features of the clean and the perturbed image, mean over test images.

    Uses no training images and fits nothing.
    """
    if CLEAN_DRAW not in task.tests:
        names = ", ".join(dict.fromkeys(draw.perturbation for draw in task.tests))
        raise UserError(f"drift: needs the clean test images, found {names}; add {CLEAN} to --perturbations")
    clean = task.tests[CLEAN_DRAW].features.astype(np.float32)
    draws: dict[Address, list[list[float]]] = {}
    for draw in task.tests:
        moved = task.tests[draw].features.astype(np.float32)
        for part, columns in task.sets.items():
            drifts = [drift(clean[:, each], moved[:, each]) for each in columns]
            draws.setdefault((draw.perturbation, part, DRIFT.name), []).append(drifts)
    return Measured({address: np.array(drifts).T for address, drifts in draws.items()}, len(clean))


def drift(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the mean over rows of 1 − cosine of a, b [N, d], in [0, 2]; 1 if one row is zero, 0 if both are."""
    product, norms = (a * b).sum(axis=1), np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.where(norms > 0, product / np.maximum(norms, np.finfo(np.float32).tiny), (a == b).all(axis=1))
    return float(np.clip(1 - cosine, 0, 2).mean())
