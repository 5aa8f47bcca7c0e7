"""Dot plots: one row per thing, one mark per part or metric, from 0 to 1 along x."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ddcl.report.figures.layout import INK, LINE, NOTE, SEED, Axis

SHARES = (-0.1, 1.03)  # the x axis of what lies between 0 and 1, or is an R²
SPREAD = 0.72  # of a row that its marks take
THIN = 0.008  # share of the x axis that a control without a spread is wide


def dot_plot(axes: Axes, frame: pd.DataFrame, row: Axis, mark: Axis, limits: tuple[float, float] = SHARES) -> None:
    """Draw the mean over seeds of each row and mark, and a dot per seed; hollow with † if a seed collapsed.

    row: a column, and its values with their labels, from the top. mark: a column, and its values with their colours.
    limits: of the x axis; what lies outside is drawn at its edge.
    The value ``random_NAME`` of the mark's column is the control of NAME: a bar behind it, mean ± sd over the draws.
    """
    (column, labels), (mark_column, colours) = row, mark
    edge = 0.03 * (limits[1] - limits[0])
    axes.set(ylim=(len(labels) - 0.5, -0.5), xlim=(limits[0] - edge, limits[1]))
    for (place, name), (index, key) in product(enumerate(labels), enumerate(colours)):
        own, y = frame[frame[column] == name], height(place, index, len(colours))
        _control(axes, own[own[mark_column] == f"random_{key}"], y, (colours[key], SPREAD / len(colours)))
        _mark(axes, own[own[mark_column] == key], (y, colours[key]), limits)
    axes.set_yticks(range(len(labels)), list(labels.values()))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    for below in np.arange(len(labels) - 1) + 0.5:
        axes.axhline(below, color=LINE, linewidth=0.5, zorder=0.5)
    if limits == SHARES:
        axes.axvline(0, color=NOTE, linewidth=0.6, zorder=0.6)


def height(place: int, index: int, n: int) -> float:
    """Return where mark `index` of n lies in row `place`."""
    return place + (index - (n - 1) / 2) * SPREAD / n


def _control(axes: Axes, cell: pd.DataFrame, y: float, look: tuple[str, float]) -> None:
    """Draw mean ± sd over the draws of a control, averaged over seeds."""
    if cell["value"].notna().any():
        mean, sd = cell["value"].mean(), cell["sd_draws"].mean()
        limits, spread = axes.get_xlim(), np.nan_to_num(sd)
        low, high = np.clip([mean - spread, mean + spread], *limits)
        width = max(high - low, THIN * np.ptp(limits))
        axes.barh(y, width, look[1], low, color=look[0], alpha=0.35, linewidth=0, zorder=1.5)


def _mark(axes: Axes, cell: pd.DataFrame, look: tuple[float, str], limits: tuple[float, float]) -> None:
    """Draw the mean over seeds, and each seed; what lies outside the limits, at the edge. look: place and colour."""
    y, colour = look
    values = cell["value"].dropna()
    if len(cell) and values.empty:
        axes.text(max(0.0, axes.get_xlim()[0]), y, "×", ha="center", va="center", color=colour)
    if values.empty:
        return
    collapsed = bool((cell["status"] == "collapsed").any())
    x = np.clip(values.mean(), *limits)
    axes.plot(x, y, "o", color="white" if collapsed else colour, markeredgecolor=colour, zorder=3)
    if collapsed:
        axes.annotate("†", (x, y), (4, 0), textcoords="offset points", va="center", color=INK)
    if len(values) > 1:
        axes.scatter(values.clip(*limits), np.full(len(values), y), color="white", edgecolor=INK, **SEED)


def floor_marks(axes: Axes, frame: pd.DataFrame, row: Axis, n: int) -> None:
    """Draw the mean of each arm without training in each row, where the first of n marks lies."""
    for (place, name), variant in product(enumerate(row[1]), frame["variant"].unique()):
        values = frame.loc[(frame[row[0]] == name) & (frame["variant"] == variant), "value"].dropna()
        if len(values):
            y = height(place, 0, n)
            axes.plot(
                np.clip(values.mean(), *SHARES),
                y,
                "D",
                color="white",
                markeredgecolor=NOTE,
                markersize=3.2,
                zorder=2.5,
            )
