"""How fast and how far kNN accuracy rises while training: one value per run and metric, from the histories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ddcl.plan.plan import Plan
from ddcl.report.sources import SOURCES, histories_of
from ddcl.report.tables.statistics import WHOLE, paired_status
from ddcl.schema.names import CLEAN
from ddcl.schema.tables import KEYS, RUN

Curves = dict[tuple[Any, ...], pd.DataFrame]
AGAINST = ("epochs_to_95", "seconds_to_95", "epochs_to_90_gain")  # metrics that are measured against a reference
NO_GAIN = "no gain"  # status: the reference ended no better than the untrained encoder
NOT_REACHED = "not reached"  # status: censored at the training's end, which is the value
COLUMNS = [*RUN, *KEYS[3:], "seen", "selection", "metric", "value", "n", "status", SOURCES]


def convergence_values(
    records: pd.DataFrame, histories: pd.DataFrame, plan: Plan, reference_variant: Mapping[str, str]
) -> pd.DataFrame:
    """Return one row per trained run and convergence metric.

    A goal that was never reached has the training's end as its value. So means over seeds are restricted means (Royston
    and Parmar, BMC Med. Res. Methodol. 13, 2013): at most what longer training would give, and not those of survivors.
    """
    ended = training_statuses(records)
    curves = {key: curve for key, curve in monitored_curves(histories).items() if ended.get(key) in WHOLE}
    ended = {key: status for key, status in ended.items() if key in curves or status not in WHOLE}
    rows = []
    runs = {run.names: run for run in plan.runs}
    for key, run in runs.items():
        if not run.trains:
            continue
        reference = (run.dataset, reference_variant.get(run.variant, run.variant), *key[2:])
        common = run.key | {"part": "full", "evaluation": "monitor"}
        common |= {"eval_dataset": run.dataset, "perturbation": CLEAN, "seen": "clean", "selection": "train-holdout"}
        values = curve_metrics(curves.get(key), curves.get(reference))
        for metric, value in values.items():
            status = ended.get(key, "missing")
            if metric in AGAINST:
                status = paired_status(status, ended.get(reference, "missing"))
                if key in curves and reference in curves and np.isnan(value):
                    status = _why_not(metric, curves[reference])
                    value = _end(metric, curves[key]) if status == NOT_REACHED else value
            sources = histories_of([run, *([runs[reference]] if metric in AGAINST and reference in runs else [])])
            rows.append(common | {"metric": metric, "value": value, "n": 0, "status": status, SOURCES: sources})
    return pd.DataFrame(rows, columns=COLUMNS)


def monitored_curves(histories: pd.DataFrame) -> Curves:
    """Return the epochs in which the monitor ran, in order, of each run that it ran twice in."""
    if histories.empty:
        return {}
    groups = histories[histories["knn_top1"].notna()].sort_values("epoch").groupby(RUN)
    return {key: curve for key, curve in groups if len(curve) > 1}


def training_statuses(records: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return how the training of each run ended, as its run.json says: the column `training`.

    Where there is no such column (files collected by earlier versions), as its records say, whichever of them are
    missing or failed. A run without any is left out: its history may have been cut short.
    """
    if "training" in records:
        whole = records.loc[records["training"] != "missing", [*RUN, "training"]].drop_duplicates()
        return {tuple(key): status for *key, status in whole.itertuples(index=False, name=None)}
    ended: dict[tuple[Any, ...], str] = {}
    for status in ("failed", "ok", "collapsed", "diverged"):
        named = records.loc[records["status"] == status, RUN].drop_duplicates()
        ended |= dict.fromkeys(named.itertuples(index=False, name=None), status)
    return ended


def trained(records: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each run of the records, with the columns `RUN`, and how its training ended as `status`."""
    ended, runs = training_statuses(records), records[RUN].drop_duplicates()
    return runs.assign(status=[ended.get(key, "missing") for key in runs.itertuples(index=False, name=None)])


def curve_metrics(curve: pd.DataFrame | None, reference: pd.DataFrame | None) -> dict[str, float]:
    """Return the convergence metrics of one run's monitored curve.

    curve, reference: columns epoch, seconds (of training, since its start) and knn_top1, in [0, 1].
    knn_auc: the trapezoids under kNN accuracy against epoch, divided by the epochs: the mean accuracy while training,
    in [0, 1]. epochs_to_95, seconds_to_95: when 95 % of the reference's final accuracy is reached. epochs_to_90_gain:
    when 90 % of its gain on the untrained encoder is. All count from the untrained encoder, so extra warm-up counts.
    """
    found = dict.fromkeys(("knn_auc", "final_knn_top1", *AGAINST), np.nan)
    if curve is None:
        return found
    epoch, accuracy = curve["epoch"].to_numpy(dtype=float), curve["knn_top1"].to_numpy(dtype=float)
    area = float(np.trapezoid(accuracy, epoch)) / (epoch[-1] - epoch[0])
    found |= {"knn_auc": area, "final_knn_top1": float(accuracy[-1])}
    if reference is not None:
        first, last = (float(reference["knn_top1"].iloc[place]) for place in (0, -1))
        at = _first(accuracy >= 0.95 * last)
        if at is not None:
            found |= {"epochs_to_95": float(epoch[at]), "seconds_to_95": float(curve["seconds"].iloc[at])}
        at = _first(accuracy >= first + 0.9 * (last - first)) if last > first else None
        if at is not None:
            found["epochs_to_90_gain"] = float(epoch[at])
    return found


def _first(reached: Any) -> int | None:
    """Return the place of the first True."""
    return int(reached.argmax()) if reached.any() else None


def _why_not(metric: str, reference: pd.DataFrame) -> str:
    """Return the status of a metric that both curves are there for and that has no value."""
    first, last = reference["knn_top1"].iloc[0], reference["knn_top1"].iloc[-1]
    return NO_GAIN if metric == "epochs_to_90_gain" and last <= first else NOT_REACHED


def _end(metric: str, curve: pd.DataFrame) -> float:
    """Return the training's end, in the unit of a metric."""
    return float(curve["seconds" if metric.startswith("seconds") else "epoch"].iloc[-1])
