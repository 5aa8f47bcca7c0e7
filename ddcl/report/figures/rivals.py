"""Which part of which method carries which distortion beyond its width, and what does that cost? A matrix."""

from __future__ import annotations

from functools import partial
from itertools import pairwise, product

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from ddcl.report.collected import Collected
from ddcl.report.figures.diagnostics import ordered
from ddcl.report.figures.layout import FULL, INK, LINE, MARKS, PART_NAMES, FigureStyle, panel_figure
from ddcl.report.figures.svg import tell
from ddcl.report.tables.cells import beyond_reference, expected_cells
from ddcl.schema.registry import RANDOM_PARTS, TOP1
from ddcl.schema.tables import RUN

CARD = "#ffffff"
DARKEST = {"R²": 0.5, "points": 10.0}  # a cell of this value, or more, is as dark as it gets
MOST_INK = 0.85
STRIP = 0.22  # height of the strip that marks a loss, below its number; a gain fills the cell
UNTOLD = ("readout_shuffled", "readout_saturation", "readout_hue")  # a control, and what means little on grey images


def rivals(found: Collected) -> Figure:
    """A panel per data set and augmentation: a row per method and part, a column per distortion and perturbation."""
    style = FigureStyle(found.plan)
    readouts = {name: metric.heading for name, metric in ordered(found.plan, "readout").items() if name not in UNTOLD}
    costs = {name: f"top-1, {style.label('perturbation', name)}" for name in found.plan.perturbations}
    frame = _differences(found, style, list(readouts))
    columns = {name: text for name, text in (readouts | costs).items() if (frame["column"] == name).any()}
    places = product(style.variants, PART_NAMES)
    rows = [place for place in places if ((frame["variant"] == place[0]) & (frame["part"] == place[1])).any()]
    paint = partial(_paint, style=style, rows=rows, columns=columns)
    panels = style.by_augmentation(frame) if rows else []
    most = f"{DARKEST['R²']} R² or {DARKEST['points']:.0f} points, or more"
    ink: list[Artist] = [
        Patch(color=INK, alpha=MOST_INK, label=f"gain of {most}"),
        Line2D([], [], color=INK, alpha=MOST_INK, linewidth=2.2, label=f"loss of {most}"),
    ]
    return panel_figure(panels, (1, 1.1 + 0.15 * len(rows)), ("", ""), paint, ink)


def _differences(found: Collected, style: FigureStyle, readouts: list[str]) -> pd.DataFrame:
    """Return what is shown, one row per seed: R² of parts (or of all features, without parts), and points of accuracy.

    Points stand in the first row of a method. column: of the matrix.
    """
    cells = expected_cells(found.records, found.plan)
    own = cells[(cells["dataset"] == cells["eval_dataset"]) & ~cells["part"].isin(RANDOM_PARTS)]
    linear = (own["evaluation"] == style.evaluation("linear")) & (own["metric"] == TOP1) & (own["part"] == FULL)
    shown = beyond_reference(own[own["metric"].isin(readouts) | linear], cells, found.plan)
    points = shown["metric"] == TOP1
    split = shown.loc[shown["part"] != FULL, RUN].drop_duplicates()
    has_parts = pd.MultiIndex.from_frame(shown[RUN]).isin(pd.MultiIndex.from_frame(split))
    shown = shown.assign(
        column=shown["perturbation"].where(points, shown["metric"]),
        unit=points.map({True: "points", False: "R²"}),
        value=shown["value"].where(~points, 100 * shown["value"]),
        part=shown["part"].mask(points & has_parts, "dir"),
    )
    return shown[(shown["part"] != FULL) | ~has_parts]


def _paint(
    axes: Axes, frame: pd.DataFrame, style: FigureStyle, rows: list[tuple[str, str]], columns: dict[str, str]
) -> None:
    """Write the mean over seeds into each cell, filled for a gain and underlined for a loss, the darker the larger.

    † or ‡: a seed did not end well.
    """
    for (y, (variant, part)), (x, column) in product(enumerate(rows), enumerate(columns)):
        own = (frame["variant"] == variant) & (frame["part"] == part) & (frame["column"] == column)
        cell = frame[own]
        values, marks = cell["value"].dropna(), "".join(MARKS[name] for name in MARKS if (cell["status"] == name).any())
        if values.empty:
            axes.text(x, y, marks or ("…" if len(cell) else ""), ha="center", va="center", size=5.5)
            continue
        mean, unit = values.mean(), str(cell["unit"].iloc[0])
        ink, height = MOST_INK * min(abs(mean) / DARKEST[unit], 1.0), STRIP if mean < 0 else 1.0
        box = axes.add_patch(Rectangle((x - 0.5, y + 0.5 - height), 1, height, facecolor=INK, alpha=ink, linewidth=0))
        number = f"{mean:+z.{1 if unit == 'points' else 2}f}".replace("-", "−")
        text = number[0] + number[1:].removeprefix("0") + marks  # +.20: there is little room
        covered = mean > 0 and ink > MOST_INK / 2
        axes.text(x, y, text, ha="center", va="center", size=5.5, color=CARD if covered else INK)
        spread = f", sd {values.std(ddof=1):.2f} of {len(values)} seeds" if len(values) > 1 else ""
        tell(box, f"{_row(style, variant, part)}, {columns[column]}: {mean:+z.2f} {unit}{spread}")
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), list(columns.values()), rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), [_row(style, *row) for row in rows])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for y, (before, after) in enumerate(pairwise(rows)):
        if before[0] != after[0]:
            axes.axhline(y + 0.5, color=LINE, linewidth=0.5, zorder=0.5)


def _row(style: FigureStyle, variant: str, part: str) -> str:
    return style.label("variant", variant) + ("" if part == FULL else f", {PART_NAMES[part]}")
