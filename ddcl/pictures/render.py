"""The picture stage: one picture of the plan, as PNG and PDF, and a CSV of what is shown or measured in it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from ddcl.base.errors import check_name
from ddcl.base.files import write_text
from ddcl.pictures.material import Material
from ddcl.pictures.sheet import Sheet
from ddcl.plan.plan import Plan
from ddcl.report.figures.layout import STYLE, write_figure
from ddcl.report.tables.csv_files import csv_text
from ddcl.schema.pictures import DRAWINGS

DIGITS = 6  # of numbers in the CSV


def render_picture(name: str, plan: Plan, results: Path, device: str) -> None:
    """Write `results`/figures/`name`.{png,pdf,csv}: the same bytes from the same checkpoints on one machine."""
    entries = {entry.name: entry for entry in plan.pictures}
    check_name("picture", name, entries, f"pictures of suite {plan.suite}")
    entry = entries[name]
    drawing = DRAWINGS[entry.drawing]
    with rc_context(STYLE):
        settings = drawing.settings.model_validate(entry.settings)
        figure, frame = drawing.load()(Material(entry, plan, results, device), settings) if entry.runs else _nothing()
    write_figure(figure, results / "figures" / name)
    write_text(results / "figures" / f"{name}.csv", csv_text(frame, f"%.{DIGITS}g"))


def _nothing() -> tuple[Figure, pd.DataFrame]:
    """Return a picture without images, which says so, and an empty table."""
    sheet = Sheet(8.0, 1.0)
    sheet.text((4.0, 0.5), "nothing to draw: the suite shows no such run")
    return sheet.figure, pd.DataFrame()
