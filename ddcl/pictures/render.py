"""The picture stage: one picture of the plan, as PNG and PDF, and a CSV of what is shown or measured in it."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context

from ddcl.base.errors import check_name
from ddcl.base.files import write_text
from ddcl.pictures.material import Material, require_runs
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
    require_runs(entry)
    drawing = DRAWINGS[entry.drawing]
    with rc_context(STYLE):
        figure, frame = drawing.load()(
            Material(entry, plan, results, device), drawing.settings.model_validate(entry.settings)
        )
    write_figure(figure, results / "figures" / name)
    write_text(results / "figures" / f"{name}.csv", csv_text(frame, f"%.{DIGITS}g"))
