"""From values per seed to mean, standard deviation and n. Missing is loud: nothing is averaged silently."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from ddcl.report.multiplicity import SAME
from ddcl.report.sources import SOURCES, joined

WHOLE = ("ok", "collapsed")  # statuses of runs that were trained to their last epoch


def status_of(statuses: Sequence[str]) -> str:
    """Return `ok` if all seeds are, else how many of how many are what: ``1 of 2 missing``."""
    bad = sorted({status for status in statuses if status != "ok"})
    if not bad:
        return "ok"
    return ", ".join(f"{list(statuses).count(status)} of {len(statuses)} {status}" for status in bad)


def paired_status(own: str, reference: str) -> str:
    """Return the status of a value that is measured against another: the reason why there is none, if there is none."""
    return reference if own in WHOLE and reference != "ok" else own


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
    found = groups.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n_seeds=("value", "count"),
        seeds_expected=("value", "size"),
        n_images=("n", "max"),
        n_draws=("n_draws", "max"),
        sd_draws=("sd_draws", "mean"),
    ).reset_index()
    # In Python, and not by groupby: a function call per group costs seconds for a large suite.
    statuses: list[list[str]] = [[] for _ in range(len(found))]
    sources: list[list[tuple[str, ...]]] = [[] for _ in range(len(found))]
    for place, status, own in zip(groups.ngroup().tolist(), frame["status"].tolist(), frame[SOURCES], strict=True):
        statuses[place].append(status)
        sources[place].append(own)
    found["status"] = [status_of(own) for own in statuses]
    found[SOURCES] = [joined(own) for own in sources]
    return found


@cache
def _student(level: float, degrees: int) -> float:
    """Return what a standard error is multiplied by for a two-sided interval."""
    from scipy import stats

    return float(stats.t.ppf((1 + level) / 2, degrees))


class Paired(NamedTuple):
    """A mean difference of pairs, its confidence interval, and how many pairs there are."""

    effect: float
    low: float
    high: float
    n: int


def paired_t(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Paired:
    """Return the mean of first − second, pair by pair, with Student's t interval.

    first, second: [n], values of two methods at the same seeds, in the unit in which they are shown. Conditional on the
    test images: it answers "other seeds, the same images". The interval is NaN for fewer than two pairs, and where all
    differences are equal: their spread is then below the resolution of the test images, and an interval of no width
    would say too much.
    """
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    n = len(differences)
    effect = float(differences.mean()) if n else np.nan
    if n < 2 or np.ptp(differences) < SAME:
        return Paired(effect, np.nan, np.nan, n)
    half = _student(level, n - 1) * float(differences.std(ddof=1)) / np.sqrt(n)
    return Paired(effect, effect - half, effect + half, n)
