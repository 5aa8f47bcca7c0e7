"""What a cell of a table differs by from its baseline: paired by seed, with an interval, and p over the table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ddcl.plan.plan import Plan
from ddcl.report.multiplicity import FEWEST_SEEDS, holm
from ddcl.report.tables.statistics import paired_t
from ddcl.schema.metrics import Metric

LEVEL = 0.05  # of a table, after Holm's correction
NOTE = (
    "▲ better and ▼ worse than the baseline: p below 0.05 after Holm’s correction over the table (t, paired by seed, "
    "for these test images). No other cell can be told apart from it. Cells with fewer than three seeds, or with a run "
    "that did not end well, are not tested"
)
SHORT_NOTE = "▲ better, ▼ worse than the baseline (p < 0.05, Holm over the table)"  # where there is little room
NUMBERS = ("difference", "ci_low", "ci_high", "p", "p_holm")
COLUMNS = ["baseline", *NUMBERS, "n_pairs", "emphasis"]
NONE: dict[str, Any] = {"baseline": ""} | dict.fromkeys(NUMBERS, np.nan) | {"n_pairs": 0, "emphasis": ""}
WHOLE, INVARIANT = "full", "dir"  # a baseline without parts: its whole features are what DIR is set against

Seeds = dict[Any, dict[int, float]]


def differences(
    values: pd.DataFrame, frame: pd.DataFrame, keys: list[str], compare: str | None, plan: Plan
) -> pd.DataFrame:
    """Return the columns `COLUMNS` for each row of `frame`, in its order.

    values: one row per seed, with `keys`, `seed` and `value`. frame: the same by `aggregate`. compare: None where the
    table sets nothing against anything. difference: mean over the seeds that both have, in the metric's unit, with its
    95 % interval from three seeds on. emphasis: `better`, `worse` or nothing.
    """
    rows = [dict(NONE) for _ in range(len(frame))]
    if compare is None or frame.empty:
        return pd.DataFrame(rows, columns=COLUMNS)
    seeds = _by_seed(values, keys)
    status = dict(zip(_keys(frame, keys), frame["status"], strict=True))
    baselines = {run.arm: run.baseline for run in plan.runs if run.baseline}  # not every seed needs to have one
    for row, key in zip(rows, _keys(frame, keys), strict=True):
        named = dict(zip(keys, key, strict=True))
        baseline = baselines.get((named["dataset"], named["variant"], named["augmentation"]), "")
        other = _other(named, baseline, keys, seeds) if baseline else None
        if other is not None:
            row |= {"baseline": baseline} | _paired(seeds[key], seeds[other], plan.metrics[named["metric"]].factor)
            if status[key] != "ok" or status[other] != "ok":
                row["p"] = np.nan
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    for row, metric in zip(rows, frame["metric"], strict=True):
        row["emphasis"] = _emphasis(row, plan.metrics[metric])
    return pd.DataFrame(rows, columns=COLUMNS)


def _keys(frame: pd.DataFrame, keys: list[str]) -> list[Any]:
    return list(zip(*(frame[key].tolist() for key in keys), strict=True))


def _by_seed(values: pd.DataFrame, keys: list[str]) -> Seeds:
    """Return the measured values of each cell by seed."""
    found: Seeds = defaultdict(dict)
    for key, seed, value in zip(_keys(values, keys), values["seed"].tolist(), values["value"].tolist(), strict=True):
        if value == value:
            found[key][seed] = value
    return found


def _other(named: dict[str, Any], baseline: str, keys: list[str], seeds: Seeds) -> Any:
    """Return the cell that a cell is set against; None if the baseline has none."""
    changes = [{"variant": baseline}]
    changes += [{"variant": baseline, "part": WHOLE}] if named.get("part") == INVARIANT else []
    found = (tuple((named | change)[key] for key in keys) for change in changes)
    return next((key for key in found if key in seeds), None)


def _paired(own: Mapping[int, float], other: Mapping[int, float], factor: float) -> dict[str, Any]:
    """Return difference, interval and p of the seeds that both have."""
    common = sorted(own.keys() & other.keys())
    found = paired_t([factor * own[seed] for seed in common], [factor * other[seed] for seed in common])
    if found.n < FEWEST_SEEDS or np.isnan(found.low):
        return {"difference": found.effect, "n_pairs": found.n}
    spread = [own[seed] - other[seed] for seed in common]
    p = float(stats.ttest_1samp(spread, 0.0).pvalue)
    return {"difference": found.effect, "ci_low": found.low, "ci_high": found.high, "p": p, "n_pairs": found.n}


def _emphasis(row: Mapping[str, Any], metric: Metric) -> str:
    if not metric.better or not row["p_holm"] < LEVEL:
        return ""
    return "better" if (row["difference"] > 0) == (metric.better == "higher") else "worse"
