"""From values per seed to mean, standard deviation and n. Missing is loud: nothing is averaged silently."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ddcl.report.sources import SOURCES, joined


def status_of(statuses: Sequence[str]) -> str:
    """Return `ok` if all seeds are, else how many of how many are what: ``1 of 2 missing``."""
    bad = sorted({status for status in statuses if status != "ok"})
    if not bad:
        return "ok"
    return ", ".join(f"{list(statuses).count(status)} of {len(statuses)} {status}" for status in bad)


def aggregate(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return one row per group of `keys`, in order of first appearance.

    frame: one row per expected seed, with columns `value` (NaN: not measured), `n` (images) and `status`, and where a
    value is itself a mean over draws, `n_draws` and their standard deviation `sd_draws`.
    Adds mean and sd (sample, ddof = 1; NaN for one value) of the measured values, n_seeds (how many they are),
    seeds_expected, n_images, n_draws, sd_draws (mean over seeds), status and sources. Mean over seeds answers "other
    seeds, the same test images".
    """
    frame = frame.assign(**{name: frame.get(name, np.nan) for name in ("n_draws", "sd_draws")})
    if SOURCES not in frame:
        frame[SOURCES] = [()] * len(frame)
    groups = frame.groupby(keys, sort=False, dropna=False)
    return groups.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n_seeds=("value", "count"),
        seeds_expected=("value", "size"),
        n_images=("n", "max"),
        n_draws=("n_draws", "max"),
        sd_draws=("sd_draws", "mean"),
        status=("status", lambda statuses: status_of(list(statuses))),
        sources=(SOURCES, joined),
    ).reset_index()
