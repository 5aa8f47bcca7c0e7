"""Tables: one long frame per table, which feeds the CSV and every printed form."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from ddcl.registry import DRIFT, GEOMETRY, READOUTS, is_knn_metric
from ddcl.report.collect import expected_cells as planned_cells
from ddcl.report.collect import selection
from ddcl.report.published import published_table
from ddcl.report.sources import SOURCES, histories_of, joined, source_of
from ddcl.report.specs import KEYS, RUN, TableSpec
from ddcl.report.statistics import aggregate

CLEAN = "none"
UNITS = {
    "top1": "%",
    "top1_best_test_epoch": "%",
    "relative_drop": "%",
    "change": "points",
    "knn_auc": "%",
    "final_knn_top1": "%",
    "epochs_to_95": "epochs",
    **dict.fromkeys(READOUTS, "R²"),
    "readout_flip": "balanced accuracy",
    **dict.fromkeys((*GEOMETRY, DRIFT), ""),
}


def unit(metric: str) -> str:
    """Return the unit of a metric in tables."""
    return UNITS["top1"] if is_knn_metric(metric) else UNITS[metric]


WHOLE = ("ok", "collapsed")  # statuses of runs that were trained to their last epoch
Curves = dict[tuple[Any, ...], pd.DataFrame]
NUMBERS = ["mean", "sd", "n_seeds", "seeds_expected", "n_draws", "sd_draws", "n_images"]
COLUMNS = [*KEYS, "selection", "metric", "unit", *NUMBERS, "status", SOURCES]


def build_table(records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any], spec: TableSpec) -> pd.DataFrame:
    """Return the table in long form: one row per cell and metric, with the columns `COLUMNS`.

    Accuracies are in percent, changes in percentage points.
    """
    if spec.kind == "published":
        return published_table(expected_cells(records, suite), suite)
    if spec.kind == "convergence":
        values = convergence_values(records, histories, suite, spec.reference_variant)
    else:
        values = cell_values(expected_cells(records, suite), spec)
    frame = aggregate(values, [*KEYS, "selection", "metric"])
    frame["unit"] = frame["metric"].map(unit)
    factor = np.where(frame["unit"].isin(["%", "points"]), 100.0, 1.0)
    for name in ("mean", "sd", "sd_draws"):
        frame[name] = frame[name] * factor
    return frame[COLUMNS].reset_index(drop=True)


def expected_cells(records: pd.DataFrame, suite: dict[str, Any]) -> pd.DataFrame:
    """Return the row of every cell that the suite expects; `missing` where `records` has no row or no value.

    The plan, not what happens to be in `records`, says how many seeds a mean should have.
    """
    cells = pd.DataFrame(
        [
            {name: run[name] for name in RUN}
            | {"part": part, "evaluation": target["evaluation"], "eval_dataset": target["eval_dataset"]}
            | {"perturbation": perturbation, "metric": metric}
            | {"selection": selection(metric, suite["selections"][target["evaluation"]])}
            for run in suite["runs"]
            for target in run["targets"]
            for part, perturbation, metric in planned_cells(target)
        ]
    )
    keys = [*RUN, "part", "evaluation", "eval_dataset", "perturbation", "metric"]
    cells["sources"] = [(source_of(row),) for _, row in cells.iterrows()]
    found = cells.merge(
        records[[*keys, "value", "sd_draws", "n", "n_draws", "status"]], on=keys, how="left", validate="one_to_one"
    )
    unmeasured = found["value"].isna() & (found["status"].isna() | (found["status"] == "ok"))
    counts = {name: found[name].fillna(0).astype(int) for name in ("n", "n_draws")}
    return found.assign(**counts, status=found["status"].mask(unmeasured, "missing"))


def cell_values(cells: pd.DataFrame, spec: TableSpec) -> pd.DataFrame:
    """Return one row per selected cell, metric and seed, with the derived metrics added."""
    chosen = cells[cells["metric"].isin(spec.select.metric)]
    if spec.select.tested_on != "all":
        chosen = chosen[(chosen["dataset"] == chosen["eval_dataset"]) == (spec.select.tested_on == "own")]
    if spec.select.perturbation is None:
        chosen = chosen[~chosen["perturbation"].str.contains(".", regex=False)]
    for key in KEYS:
        names = getattr(spec.select, key, None)
        if names is not None:
            family = chosen[key].str.split(".").str[0]
            chosen = chosen[chosen[key].isin(names) | (family.isin(names) if key == "perturbation" else False)]
    if spec.mean_over:
        chosen = mean_over(chosen, spec.mean_over)
    added = [relative_drop(chosen, cells)] if "relative_drop" in spec.derive else []
    if "change" in spec.derive and spec.reference_augmentation is not None:
        added.append(change(chosen, cells, spec.reference_augmentation))
    return pd.concat([chosen, *added], ignore_index=True)


def mean_over(cells: pd.DataFrame, keys: list[Literal["perturbation"]]) -> pd.DataFrame:
    """Return the mean of each run's cells over all values of `keys`, which become the family's name.

    A mean that lacks a cell has no value.
    """
    cells = cells.assign(**{key: cells[key].str.split(".").str[0] for key in keys})
    groups = cells.groupby([*RUN, *KEYS[3:], "selection", "metric"], sort=False, as_index=False)
    return groups.agg(
        value=("value", lambda values: values.mean(skipna=False)),
        n=("n", "max"),
        n_draws=("n_draws", "max"),
        sd_draws=("sd_draws", "mean"),
        sources=("sources", joined),
        status=("status", lambda statuses: next((name for name in statuses if name != "ok"), "ok")),
    )


def _against(chosen: pd.DataFrame, reference: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return `chosen` with the columns of `reference` rows that have the same `keys`, suffix ``_reference``.

    The status is that of the reference where that is worse. What the suite has no reference for is left out: it is not
    missing.
    """
    paired = chosen.merge(reference[[*keys, "value", "status", "sources"]], on=keys, suffixes=("", "_reference"))
    both = zip(paired["status"], paired["status_reference"], strict=True)
    sources = paired["sources"] + paired["sources_reference"]
    return paired.assign(status=[paired_status(own, other) for own, other in both], sources=sources)


def paired_status(own: str, reference: str) -> str:
    """Return the status of a value that is measured against another: the reason why there is none, if there is none."""
    return reference if own in WHOLE and reference != "ok" else own


def relative_drop(chosen: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return 1 − value / clean value of the same run, evaluation and part, for perturbed cells."""
    clean = cells[cells["perturbation"] == CLEAN]
    perturbed = chosen[chosen["perturbation"] != CLEAN]
    paired = _against(perturbed, clean, [*RUN, "evaluation", "eval_dataset", "part", "metric"])
    return paired.assign(metric="relative_drop", value=1 - paired["value"] / paired["value_reference"])


def change(chosen: pd.DataFrame, cells: pd.DataFrame, augmentation: str) -> pd.DataFrame:
    """Return value minus the value under `augmentation`, paired by seed; nothing for runs without training."""
    reference = cells[cells["augmentation"] == augmentation]
    keys = ["dataset", "variant", "seed", "evaluation", "eval_dataset", "part", "perturbation", "metric"]
    others = chosen[~chosen["augmentation"].isin([augmentation, CLEAN])]
    paired = _against(others, reference, keys)
    return paired.assign(metric="change", value=paired["value"] - paired["value_reference"])


def convergence_values(
    records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any], reference_variant: dict[str, str]
) -> pd.DataFrame:
    """Return one row per trained run and convergence metric."""
    ended = training_statuses(records)
    curves = {key: curve for key, curve in monitored_curves(histories).items() if ended.get(key) in WHOLE}
    ended = {key: status for key, status in ended.items() if key in curves or status not in WHOLE}
    rows = []
    for run in suite["runs"]:
        if not run["trains"]:
            continue
        key = tuple(run[name] for name in RUN)
        reference = (run["dataset"], reference_variant.get(run["variant"], run["variant"]), *key[2:])
        own_status, reference_status = ended.get(key, "missing"), ended.get(reference, "missing")
        for metric, value in curve_metrics(curves.get(key), curves.get(reference)).items():
            status = own_status
            if metric == "epochs_to_95":
                status = paired_status(own_status, reference_status)
                if key in curves and reference in curves and np.isnan(value):
                    status = "not reached"
            rows.append(
                {name: run[name] for name in RUN}
                | {"part": "full", "evaluation": "monitor", "eval_dataset": run["dataset"], "perturbation": CLEAN}
                | {"selection": "train-holdout"}
                | {"metric": metric, "value": value, "n": 0, "status": status}
                | {"sources": histories_of(run, reference if metric == "epochs_to_95" else None)}
            )
    return pd.DataFrame(rows, columns=[*RUN, *KEYS[3:], "selection", "metric", "value", "n", "status", "sources"])


def monitored_curves(histories: pd.DataFrame) -> Curves:
    """Return the epochs in which the monitor ran, in order, of each run that it ran twice in."""
    if histories.empty:
        return {}
    groups = histories[histories["knn_top1"].notna()].sort_values("epoch").groupby(RUN)
    return {key: curve for key, curve in groups if len(curve) > 1}


def training_statuses(records: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return how the training of each run ended, as its records say, whichever of them are missing or failed.

    A run without any record is left out: its history may have been cut short.
    """
    ended: dict[tuple[Any, ...], str] = {}
    for status in ("failed", "ok", "collapsed", "diverged"):
        named = records.loc[records["status"] == status, RUN].drop_duplicates()
        ended |= dict.fromkeys(named.itertuples(index=False, name=None), status)
    return ended


def curve_metrics(curve: pd.DataFrame | None, reference: pd.DataFrame | None) -> dict[str, float]:
    """Return area, final value and epochs to 95 % of the reference's final value, of one run's monitored curve.

    The area is that of the trapezoids under kNN accuracy against epoch, divided by the epochs: the mean accuracy while
    training, in [0, 1].
    """
    if curve is None:
        return {"knn_auc": np.nan, "final_knn_top1": np.nan, "epochs_to_95": np.nan}
    epoch, accuracy = curve["epoch"].to_numpy(dtype=float), curve["knn_top1"].to_numpy(dtype=float)
    reached = np.nan
    if reference is not None:
        there = accuracy >= 0.95 * float(reference["knn_top1"].iloc[-1])
        reached = float(epoch[there.argmax()]) if there.any() else np.nan
    area = float(np.trapezoid(accuracy, epoch)) / (epoch[-1] - epoch[0])
    return {"knn_auc": area, "final_knn_top1": float(accuracy[-1]), "epochs_to_95": reached}
