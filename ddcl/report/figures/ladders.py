"""Ladders: one row per thing, one mark per part or metric, from 0 to 1 along x."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ddcl.report.figures.layout import FLOOR, INK, SEED, Axis

LOW, HIGH = -0.1, 1.03  # of the x axis; what lies outside is drawn at its edge
SPREAD = 0.72  # of a row that its marks take


def ladder(axes: Axes, frame: pd.DataFrame, row: Axis, mark: Axis) -> None:
    """Draw the mean over seeds of each row and mark, and a dot per seed; hollow with † if a seed collapsed.

    row: a column, and its values with their labels, from the top. mark: a column, and its values with their colours.
    The value ``random_NAME`` of the mark's column is the control of NAME: a bar behind it, mean ± sd over the draws.
    """
    (column, labels), (mark_column, colours) = row, mark
    for (place, name), (index, key) in product(enumerate(labels), enumerate(colours)):
        own, y = frame[frame[column] == name], height(place, index, len(colours))
        _control(axes, own[own[mark_column] == f"random_{key}"], y, (colours[key], SPREAD / len(colours)))
        _mark(axes, own[own[mark_column] == key], y, colours[key])
    axes.set_yticks(range(len(labels)), list(labels.values()))
    axes.set(ylim=(len(labels) - 0.5, -0.5), xlim=(LOW - 0.03, HIGH), xticks=np.linspace(0, 1, 5))
    axes.set_xticklabels(["0", "", "0.5", "", "1"])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    for edge in np.arange(len(labels) - 1) + 0.5:
        axes.axhline(edge, color="#E4E4E4", linewidth=0.5, zorder=0.5)
    axes.axvline(0, color="#BBBBBB", linewidth=0.6, zorder=0.6)


def height(place: int, index: int, n: int) -> float:
    """Return where mark `index` of n lies in row `place`."""
    return place + (index - (n - 1) / 2) * SPREAD / n


def _control(axes: Axes, cell: pd.DataFrame, y: float, look: tuple[str, float]) -> None:
    """Draw mean ± sd over the draws of a control, averaged over seeds."""
    if cell["value"].notna().any():
        mean, sd = cell["value"].mean(), cell["sd_draws"].mean()
        low, high = np.clip([mean - np.nan_to_num(sd), mean + np.nan_to_num(sd)], LOW, HIGH)
        axes.barh(y, max(high - low, 0.008), look[1], low, color=look[0], alpha=0.35, linewidth=0, zorder=1.5)


def _mark(axes: Axes, cell: pd.DataFrame, y: float, colour: str) -> None:
    """Draw the mean over seeds, and each seed."""
    values = cell["value"].dropna().clip(LOW, HIGH)
    if len(cell) and values.empty:
        axes.text(0, y, "×", ha="center", va="center", color=colour)
    if values.empty:
        return
    collapsed = bool((cell["status"] == "collapsed").any())
    axes.plot(values.mean(), y, "o", color="white" if collapsed else colour, markeredgecolor=colour, zorder=3)
    if collapsed:
        axes.annotate("†", (values.mean(), y), (4, 0), textcoords="offset points", va="center", color=INK)
    if len(values) > 1:
        axes.scatter(values, np.full(len(values), y), color="white", edgecolor=INK, **SEED)


def floor_marks(axes: Axes, frame: pd.DataFrame, row: Axis, n: int) -> None:
    """Draw the mean of the untrained encoders in each row, where the first of n marks lies."""
    for place, name in enumerate(row[1]):
        values = frame.loc[frame[row[0]] == name, "value"].dropna().clip(LOW, HIGH)
        if len(values):
            y = height(place, 0, n)
            axes.plot(values.mean(), y, "D", color="white", markeredgecolor=FLOOR, markersize=3.2, zorder=2.5)
