"""Which cells of a table stand out: the best of those compared, and those that cannot be told from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ddcl.report.tables.statistics import paired_t
from ddcl.schema.metrics import Metric

NOTE = (
    "bold: best of the methods compared, and the 95 % interval (t, paired by seed) of its difference from the "
    "runner-up excludes 0; underlined: not distinguishable from the best by such an interval. The intervals are "
    "conditional on these test images and not corrected for the number of comparisons; cells with a mark or with fewer "
    "than two seeds take no part"
)


def emphasis(
    values: pd.DataFrame, frame: pd.DataFrame, keys: list[str], compare: str | None, metrics: Mapping[str, Metric]
) -> list[str]:
    """Return for each row of `frame` how it stands out: `best`, `tied`, or an empty text.

    values: one row per seed, with `keys`, `seed` and `value`. frame: the same by `aggregate`. Compared are rows that
    differ in the key `compare` only (None: nothing is compared), have the status `ok` and at least two seeds, and a
    metric of `metrics` that says which values are better. `best`
    has the best mean and is distinguishable from the runner-up; `tied` are all that are not distinguishable from the
    one with the best mean, and that one itself where the runner-up is not.
    """
    found = [""] * len(frame)
    if compare is None or frame.empty:
        return found
    seeds: dict[Any, dict[int, float]] = defaultdict(dict)
    columns = [values[key].tolist() for key in [*keys, "seed", "value"]]
    for *key, seed, value in zip(*columns, strict=True):
        seeds[tuple(key)][seed] = value
    groups: dict[Any, list[tuple[float, int, dict[int, float]]]] = defaultdict(list)
    own = zip(*(frame[key].tolist() for key in [*keys, "metric", "mean", "status", "n_seeds"]), strict=True)
    left_out = keys.index(compare)
    for place, (*key, metric, mean, status, n) in enumerate(own):
        better = metrics[metric].better
        if status == "ok" and n >= 2 and better:
            rank = mean if better == "lower" else -mean
            groups[(*key[:left_out], *key[left_out + 1 :])].append((rank, place, seeds[tuple(key)]))
    for compared in groups.values():
        _mark(sorted(compared, key=lambda cell: cell[:2]), found)
    return found


def _mark(compared: list[tuple[float, int, dict[int, float]]], found: list[str]) -> None:
    """Write into `found`, at the cells' places, how those of one group stand out; the best comes first."""
    if len(compared) < 2:
        return
    _, best, best_seeds = compared[0]
    for rank, (_, place, own) in enumerate(compared[1:]):
        common = sorted(best_seeds.keys() & own.keys())
        told_apart = paired_t([best_seeds[seed] for seed in common], [own[seed] for seed in common]).excludes_zero
        found[place] = "" if told_apart else "tied"
        if rank == 0:
            found[best] = "best" if told_apart else "tied"
