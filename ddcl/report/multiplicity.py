"""What all tests share: how few seeds decide nothing, what is no spread, and Holm's correction for several tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST_SEEDS = 3  # below, nothing is decided and no interval is given: two seeds do not know how much seeds differ
SAME = 5e-5  # points, R² or cosine: seeds that differ by less are equal, as float32 makes 1e-5 of 100 equal points


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p, in the same order (Scand. J. Statist. 6, 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=float)
    order = [index for index in np.argsort(p, kind="stable") if not np.isnan(p[index])]
    adjusted = np.full(len(p), np.nan)
    steps = [(len(order) - place) * p[index] for place, index in enumerate(order)]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if order else []
    return [float(each) for each in adjusted]
