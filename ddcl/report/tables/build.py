"""Tables: one long frame per table, which feeds the CSV and every printed form."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ddcl.plan.plan import Plan
from ddcl.report.collect import OTHER_CODE
from ddcl.report.sources import SOURCES, file_of
from ddcl.report.tables.cells import cell_values, expected_cells
from ddcl.report.tables.convergence import convergence_values
from ddcl.report.tables.csv_files import COUNTS
from ddcl.report.tables.differences import COLUMNS as DIFFERENCES
from ddcl.report.tables.differences import differences
from ddcl.report.tables.published import published_table
from ddcl.report.tables.statistics import aggregate
from ddcl.schema.tables import KEYS, TableSpec

NUMBERS = ["mean", "sd", "n_seeds", "seeds_expected", "n_draws", "sd_draws", "n_images"]
COLUMNS = [*KEYS, "seen", "selection", "metric", "unit", *NUMBERS, "status", "code", *DIFFERENCES, SOURCES]


def build_table(
    records: pd.DataFrame,
    histories: pd.DataFrame,
    plan: Plan,
    spec: TableSpec,
    cells: pd.DataFrame | None = None,
    other_code: frozenset[str] = frozenset(),
) -> pd.DataFrame:
    """Return the table in long form: one row per cell and metric, with the columns `COLUMNS`.

    Accuracies are in percent, changes in percentage points. cells: `expected_cells` of the same records and plan, if
    they are there already: for a large suite they take most of the time. other_code: files that are not of this
    checkout's code (`Collected.other_code`), which the column `code` tells.
    """
    if spec.kind == "convergence":
        values = convergence_values(records, histories, plan, spec.reference_variant)
    else:
        cells = expected_cells(records, plan) if cells is None else cells
        if spec.kind == "published":
            return _counted(with_code(published_table(cells, plan), other_code))
        values = cell_values(cells, spec, plan)
    keys = [*KEYS, "seen", "selection", "metric"]
    frame = aggregate(values, keys)
    frame = pd.concat([frame, differences(values, frame, keys, spec.compare, plan)], axis=1)
    frame["unit"] = frame["metric"].map(plan.units)
    if spec.against:
        frame["unit"] = frame["unit"].replace("%", "points")
    factor = frame["metric"].map({name: metric.factor for name, metric in plan.metrics.items()}).astype(float)
    for name in ("mean", "sd", "sd_draws"):
        frame[name] = frame[name] * factor
    return _counted(with_code(frame, other_code)[COLUMNS])


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its counts as whole numbers."""
    return frame.astype({name: dtype for name, dtype in COUNTS.items() if name in frame})


def with_code(frame: pd.DataFrame, other_code: frozenset[str]) -> pd.DataFrame:
    """Return the frame with the column `code`: `OTHER_CODE` where a source of the number is one of these files."""
    other = [any(file_of(source) in other_code for source in sources) for sources in frame[SOURCES]]
    return frame.assign(code=np.where(other, OTHER_CODE, ""))
