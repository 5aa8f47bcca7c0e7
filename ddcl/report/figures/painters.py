"""What goes into a panel: bars, curves against the epoch, trends over augmentations, the floor of no training."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ddcl.report.figures.layout import INK, MARKS, SEED, Axis, FigureStyle
from ddcl.report.figures.svg import tell


class Hue(NamedTuple):
    """What has a look of its own: a column, by its values how their lines are drawn, and where.

    step: between neighbours at most, dots: of the seeds from their mean; both in units of the x axis, whose places are
    1 apart.
    """

    column: str
    looks: dict[str, dict[str, Any]]
    step: float
    dots: float

    @property
    def shift(self) -> dict[str, float]:
        """How far each value is drawn from its place: within 0.4, so that none reaches the next place or the edge."""
        step = min(self.step, 0.8 / max(len(self.looks), 1))
        return {name: step * (number - (len(self.looks) - 1) / 2) for number, name in enumerate(self.looks)}


def floor(axes: Axes, frame: pd.DataFrame, style: FigureStyle) -> None:
    """Draw the mean of each arm without training as a dashed line: the untrained encoder, and those from elsewhere."""
    for name in style.floors:
        values = frame.loc[frame["variant"] == name, "value"]
        if values.notna().any():
            line = axes.axhline(values.mean(), linewidth=1.1, zorder=1.5, **style.line(name) | {"marker": ""})
            tell(line, f"{style.label('variant', name)}: {values.mean():.1f}")


def bars(
    axes: Axes,
    frame: pd.DataFrame,
    group: Axis,
    bar: Axis,
    names: dict[str, str],
    alpha: Callable[[str], float] = lambda name: 1.0,
) -> None:
    """Draw means with sd and a dot per seed; hollow with † if a seed collapsed, × if there is no value.

    group: a column, and its values with their labels. bar: a column, and its values with their colours. names:
    how these are printed. alpha: how opaque they are.
    """
    (column, labels), (colour_column, colours) = group, bar
    width = 0.82 / len(colours)
    for (index, name), (place, label) in product(enumerate(colours), enumerate(labels)):
        cell = frame[(frame[colour_column] == name) & (frame[column] == label)]
        x, colour = place + (index - (len(colours) - 1) / 2) * width, colours[name]
        values, collapsed = cell["value"].dropna(), bool((cell["status"] == "collapsed").any())
        if len(cell) and (values.empty or collapsed):
            axes.text(x, 1, "†" if collapsed else "×", ha="center", va="bottom", color=INK if collapsed else colour)
        if values.empty:
            continue
        face = "white" if collapsed else colour
        (drawn,) = axes.bar(
            x, values.mean(), 0.9 * width, color=face, edgecolor=colour, linewidth=0.9, alpha=alpha(name)
        )
        tell(drawn, f"{names[name]}, {labels[label]}: {_mean(values)}")
        axes.errorbar(x, values.mean(), values.std(ddof=1), color=INK, elinewidth=0.7)
        seeds = x + 0.2 * width * np.linspace(-1, 1, len(values)) * (len(values) > 1)
        axes.scatter(seeds, values, color="white", edgecolor=INK, **SEED)
    axes.set(ylim=(0, 105), yticks=range(0, 101, 25), xlim=(-0.5, len(labels) - 0.5))
    wrapped = [textwrap.fill(text, max(90 // max(len(labels), 1), 8)) for text in labels.values()]
    axes.set_xticks(range(len(labels)), wrapped)


def _mean(values: pd.Series) -> str:
    """Return the mean, and with several seeds their standard deviation and how many they are."""
    spread = f" ± {values.std(ddof=1):.1f}, {len(values)} seeds" if len(values) > 1 else ", 1 seed"
    return f"{values.mean():.1f}{spread}"


def curves(axes: Axes, frame: pd.DataFrame, style: FigureStyle, place: tuple[str, str] = ("epoch", "epoch")) -> None:
    """Draw mean and range of each variant's seeds, without diverged ones: a mean that loses a seed midway jumps.

    place: the column whose values the seeds share, and the one that is drawn along x, averaged over them too.
    A collapsed run is dotted beside the mean that it is part of, a diverged one up to its end.
    """
    step, x = place
    shown = frame[frame["variant"].isin(style.variants) & frame["value"].notna()]
    whole = shown[shown["status"] != "diverged"]
    if len(whole):
        whole = whole.assign(x=whole.groupby(["variant", step])[x].transform("mean"))
        present = [name for name in style.variants if name in set(whole["variant"])]
        look: dict[str, Any] = {"hue": "variant", "hue_order": present, "palette": style.colour, "legend": False}
        band = {"alpha": 0.18, "linewidth": 0}
        sns.lineplot(whole, x="x", y="value", errorbar=("pi", 100), err_kws=band, ax=axes, **look)
        for number, (name, line) in enumerate(zip(present, axes.lines, strict=True)):
            every = max(np.size(line.get_xdata()) // 5, 1)
            line.set(markevery=(number % every, every), **style.line(name))
            heights = np.asarray(line.get_ydata(), float)
            tell(line, f"{style.label('variant', name)}: {heights[0]:.3g} at first, {heights[-1]:.3g} at the end")
    ended = shown[shown["status"].isin(MARKS)]
    for (variant, _, status), run in ended.groupby(["variant", "seed", "status"], sort=False):
        axes.plot(run[x], run["value"], color=style.colour[str(variant)], linestyle=":", linewidth=0.9)
        end = (run[x].iloc[-1], run["value"].iloc[-1])
        axes.annotate(MARKS[str(status)], end, (2, 0), textcoords="offset points", va="center", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    floor(axes, frame, style)


def trends(axes: Axes, frame: pd.DataFrame, hue: Hue, labels: Sequence[str]) -> None:
    """Draw means against the places `x` of frame, hollow with † if a seed collapsed, and beside them a dot per seed.

    labels: of the places 0, 1, ….
    """
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.5, max(len(labels), 1) - 0.5)
    names = list(hue.looks)
    shown = frame[frame[hue.column].isin(names) & frame["x"].notna()]
    if shown.empty:
        return
    shown = shown.assign(x=shown["x"] + shown[hue.column].map(hue.shift))
    for key, own in shown.groupby(hue.column, sort=False):
        means = own.groupby("x")["value"].mean()
        axes.plot(means.index, means, **hue.looks[str(key)])
    colours = {name: look["color"] for name, look in hue.looks.items()}
    look = {"hue": hue.column, "hue_order": names, "palette": colours, "legend": False, "ax": axes}
    sns.scatterplot(shown.assign(x=shown["x"] + hue.dots), x="x", y="value", edgecolor="face", **look, **SEED)
    for (name, _), cell in shown.groupby([hue.column, "x"], sort=False):
        if (cell["status"] == "collapsed").any():
            place = (cell["x"].iloc[0], cell["value"].mean())
            axes.plot(*place, zorder=3, **hue.looks[str(name)] | {"markerfacecolor": "white"})
            axes.annotate("†", place, (-7, -3), textcoords="offset points", color=INK)
