"""From values per seed to mean, standard deviation and n. Missing is loud: nothing is averaged silently."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def status_of(statuses: Sequence[str]) -> str:
    """Return `ok` if all seeds are, else how many of how many are what: ``1 of 2 missing``."""
    bad = sorted({status for status in statuses if status != "ok"})
    if not bad:
        return "ok"
    return ", ".join(f"{list(statuses).count(status)} of {len(statuses)} {status}" for status in bad)


def aggregate(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return one row per group of `keys`, in order of first appearance.

    frame: one row per expected seed, with columns `value` (NaN: not measured), `n` (images) and `status`.
    Adds mean and sd (sample, ddof = 1; NaN for one value) of the measured values, n_seeds (how many they are),
    seeds_expected, n_images and status. Mean over seeds answers "other seeds, the same test images".
    """
    groups = frame.groupby(keys, sort=False, dropna=False)
    return groups.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n_seeds=("value", "count"),
        seeds_expected=("value", "size"),
        n_images=("n", "max"),
        status=("status", lambda statuses: status_of(list(statuses))),
    ).reset_index()
