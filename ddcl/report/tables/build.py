"""Tables: one long frame per table, which feeds the CSV and every printed form."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ddcl.plan.plan import Plan
from ddcl.report.sources import SOURCES
from ddcl.report.tables.cells import cell_values, expected_cells
from ddcl.report.tables.convergence import convergence_values
from ddcl.report.tables.csv_files import COUNTS
from ddcl.report.tables.emphasis import emphasis
from ddcl.report.tables.published import published_table
from ddcl.report.tables.statistics import aggregate
from ddcl.schema.registry import DRIFT, FACTORS, GEOMETRY, READOUTS, is_knn_metric
from ddcl.schema.tables import KEYS, TableSpec

UNITS = {
    "top1": "%",
    "top1_best_test_epoch": "%",
    "relative_drop": "%",
    "change": "points",
    "full_minus": "points",
    "knn_auc": "%",
    "final_knn_top1": "%",
    "epochs_to_95": "epochs",
    "epochs_to_90_gain": "epochs",
    "seconds_to_95": "s",
    **dict.fromkeys(READOUTS, "R²"),
    "readout_flip": "balanced accuracy",
    **dict.fromkeys(FACTORS, "R²"),
    **dict.fromkeys(("factor_shape", "factor_texture"), "balanced accuracy"),
    **dict.fromkeys((*GEOMETRY, DRIFT), ""),
}
NUMBERS = ["mean", "sd", "n_seeds", "seeds_expected", "n_draws", "sd_draws", "n_images"]
COLUMNS = [*KEYS, "seen", "selection", "metric", "unit", *NUMBERS, "status", "emphasis", SOURCES]


def unit(metric: str) -> str:
    """Return the unit of a metric in tables."""
    return UNITS["top1"] if is_knn_metric(metric) else UNITS[metric]


def build_table(
    records: pd.DataFrame,
    histories: pd.DataFrame,
    plan: Plan,
    spec: TableSpec,
    cells: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the table in long form: one row per cell and metric, with the columns `COLUMNS`.

    Accuracies are in percent, changes in percentage points. cells: `expected_cells` of the same records and plan, if
    they are there already: for a large suite they take most of the time.
    """
    if spec.kind == "convergence":
        values = convergence_values(records, histories, plan, spec.reference_variant)
    else:
        cells = expected_cells(records, plan) if cells is None else cells
        if spec.kind == "published":
            return published_table(cells, plan).astype(COUNTS)
        values = cell_values(cells, spec)
    keys = [*KEYS, "seen", "selection", "metric"]
    frame = aggregate(values, keys)
    frame["emphasis"] = emphasis(values, frame, keys, spec.compare)
    frame["unit"] = frame["metric"].map(unit)
    factor = np.where(frame["unit"].isin(["%", "points"]), 100.0, 1.0)
    for name in ("mean", "sd", "sd_draws"):
        frame[name] = frame[name] * factor
    return frame[COLUMNS].astype(COUNTS)
