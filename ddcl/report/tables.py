"""Tables: one long frame per table, which feeds the CSV and every printed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ddcl.report.specs import KEYS, TableSpec
from ddcl.report.statistics import aggregate

CLEAN = "none"
RUN = ["dataset", "variant", "augmentation", "seed"]
UNITS = {
    "top1": "%",
    "relative_drop": "%",
    "change": "points",
    "knn_auc": "%",
    "final_knn_top1": "%",
    "epochs_to_95": "epochs",
}
COLUMNS = [*KEYS, "selection", "metric", "unit", "mean", "sd", "n_seeds", "seeds_expected", "n_images", "status"]


def build_table(records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any], spec: TableSpec) -> pd.DataFrame:
    """Return the table in long form: one row per cell and metric, with the columns `COLUMNS`.

    Accuracies are in percent, changes in percentage points.
    """
    if spec.kind == "convergence":
        values = convergence_values(records, histories, suite, spec.reference_variant)
    else:
        values = cell_values(records, spec)
    frame = aggregate(values, [*KEYS, "selection", "metric"])
    frame["unit"] = frame["metric"].map(UNITS)
    factor = np.where(frame["unit"].isin(["%", "points"]), 100.0, 1.0)
    frame["mean"], frame["sd"] = frame["mean"] * factor, frame["sd"] * factor
    return frame[COLUMNS].reset_index(drop=True)


def cell_values(records: pd.DataFrame, spec: TableSpec) -> pd.DataFrame:
    """Return one row per selected cell, metric and seed, with the derived metrics added."""
    chosen = records[records["metric"] == "top1"]
    for key, names in spec.select.model_dump().items():
        if names is not None:
            chosen = chosen[chosen[key].isin(names)]
    added = [relative_drop(chosen, records)] if "relative_drop" in spec.derive else []
    if "change" in spec.derive and spec.reference_augmentation is not None:
        added.append(change(chosen, records, spec.reference_augmentation))
    return pd.concat([chosen, *added], ignore_index=True)


def _against(chosen: pd.DataFrame, reference: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return `chosen` with the columns of `reference` rows that have the same `keys`, suffix ``_reference``.

    The status is that of the reference where only the reference is not ok.
    """
    paired = chosen.merge(reference[[*keys, "value", "status"]], on=keys, how="left", suffixes=("", "_reference"))
    worse = (paired["status"] == "ok") & paired["status_reference"].notna()
    return paired.assign(status=paired["status"].where(~worse, paired["status_reference"]))


def relative_drop(chosen: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Return 1 − value / clean value of the same run, evaluation and part, for perturbed cells."""
    clean = records[(records["metric"] == "top1") & (records["perturbation"] == CLEAN)]
    perturbed = chosen[chosen["perturbation"] != CLEAN]
    paired = _against(perturbed, clean, [*RUN, "evaluation", "part"])
    return paired.assign(metric="relative_drop", value=1 - paired["value"] / paired["value_reference"])


def change(chosen: pd.DataFrame, records: pd.DataFrame, augmentation: str) -> pd.DataFrame:
    """Return value minus the value under `augmentation`, paired by seed; nothing for runs without training."""
    reference = records[(records["metric"] == "top1") & (records["augmentation"] == augmentation)]
    keys = ["dataset", "variant", "seed", "evaluation", "part", "perturbation"]
    others = chosen[~chosen["augmentation"].isin([augmentation, CLEAN])]
    paired = _against(others, reference, keys)
    return paired.assign(metric="change", value=paired["value"] - paired["value_reference"])


def convergence_values(
    records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any], reference_variant: dict[str, str]
) -> pd.DataFrame:
    """Return one row per trained run and convergence metric."""
    status = records.groupby(RUN, sort=False)["status"].first() if len(records) else pd.Series(dtype=str)
    curves = {}
    if len(histories):
        monitored = histories[histories["knn_top1"].notna()]
        curves = {key: curve.sort_values("epoch") for key, curve in monitored.groupby(RUN)}
    rows = []
    for run in suite["runs"]:
        if not run["trains"]:
            continue
        key = tuple(run[name] for name in RUN)
        reference = (run["dataset"], reference_variant.get(run["variant"], run["variant"]), *key[2:])
        measured = curve_metrics(curves.get(key), curves.get(reference))
        run_status = status.get(key, "missing")
        for metric, value in measured.items():
            unreached = metric == "epochs_to_95" and run_status == "ok" and np.isnan(value)
            rows.append(
                {name: run[name] for name in RUN}
                | {"part": "full", "evaluation": "monitor", "perturbation": CLEAN, "selection": "train-holdout"}
                | {"metric": metric, "value": value, "n": 0, "status": "not reached" if unreached else run_status}
            )
    return pd.DataFrame(rows, columns=[*RUN, *KEYS[3:], "selection", "metric", "value", "n", "status"])


def curve_metrics(curve: pd.DataFrame | None, reference: pd.DataFrame | None) -> dict[str, float]:
    """Return area, final value and epochs to 95 % of the reference's final value, of one run's monitored curve.

    The area is that of the trapezoids under kNN accuracy against epoch, divided by the epochs: the mean accuracy while
    training, in [0, 1].
    """
    if curve is None or len(curve) < 2:
        return {"knn_auc": np.nan, "final_knn_top1": np.nan, "epochs_to_95": np.nan}
    epoch, accuracy = curve["epoch"].to_numpy(dtype=float), curve["knn_top1"].to_numpy(dtype=float)
    reached = np.nan
    if reference is not None and len(reference):
        there = accuracy >= 0.95 * float(reference["knn_top1"].iloc[-1])
        reached = float(epoch[there.argmax()]) if there.any() else np.nan
    area = float(np.trapezoid(accuracy, epoch)) / (epoch[-1] - epoch[0])
    return {"knn_auc": area, "final_knn_top1": float(accuracy[-1]), "epochs_to_95": reached}
