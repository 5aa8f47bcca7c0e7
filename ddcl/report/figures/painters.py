"""What goes into a panel: bars, curves against the epoch, trends over augmentations, the floor of no training."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ddcl.report.figures.layout import FLOOR, INK, MARKS, SEED, Axis, FigureStyle


def floor(axes: Axes, frame: pd.DataFrame, style: FigureStyle) -> None:
    """Draw the mean of the untrained encoders as a dashed line."""
    values = frame.loc[frame["variant"].isin(style.floors), "value"]
    if values.notna().any():
        axes.axhline(values.mean(), color=FLOOR, linestyle="--", linewidth=1.1, zorder=1.5)


def bars(axes: Axes, frame: pd.DataFrame, group: Axis, bar: Axis) -> None:
    """Draw means with sd and a dot per seed; hollow with † if a seed collapsed, × if there is no value.

    group: a column, and its values with their labels. bar: a column, and its values with their colours.
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
        axes.bar(x, values.mean(), 0.9 * width, color="white" if collapsed else colour, edgecolor=colour, linewidth=0.9)
        axes.errorbar(x, values.mean(), values.std(ddof=1), color=INK, elinewidth=0.7, capsize=1.5)
        seeds = x + 0.2 * width * np.linspace(-1, 1, len(values)) * (len(values) > 1)
        axes.scatter(seeds, values, color="white", edgecolor=INK, **SEED)
    axes.set(ylim=(0, 105), yticks=range(0, 101, 25), xlim=(-0.5, len(labels) - 0.5))
    axes.set_xticks(range(len(labels)), list(labels.values()))


def curves(axes: Axes, frame: pd.DataFrame, style: FigureStyle, place: tuple[str, str] = ("epoch", "epoch")) -> None:
    """Draw mean and range of each variant's seeds, without diverged ones: a mean that loses a seed midway jumps.

    place: the column whose values the seeds share, and the one that is drawn along x, averaged over them too.
    A collapsed run is dotted beside the mean that it is part of, a diverged one up to its end.
    """
    step, x = place
    for number, variant in enumerate(style.variants):
        runs, colour = frame[(frame["variant"] == variant) & frame["value"].notna()], style.colour[variant]
        seeds = runs[runs["status"] != "diverged"].groupby(step)
        mean, value = seeds[x].mean(), seeds["value"].agg(["mean", "min", "max"])
        every = max(len(mean) // 5, 1)
        axes.fill_between(mean, value["min"], value["max"], color=colour, alpha=0.18, linewidth=0)
        axes.plot(mean, value["mean"], color=colour, marker=style.marker[variant], markevery=(number % every, every))
        for (_, status), run in runs[runs["status"].isin(MARKS)].groupby(["seed", "status"]):
            axes.plot(run[x], run["value"], color=colour, linestyle=":", linewidth=0.9)
            end = (run[x].iloc[-1], run["value"].iloc[-1])
            axes.annotate(MARKS[str(status)], end, (2, 0), textcoords="offset points", va="center", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    floor(axes, frame, style)


def trends(axes: Axes, frame: pd.DataFrame, style: FigureStyle) -> None:
    """Draw each variant's mean against the augmentation, hollow with † if a seed collapsed, and a dot per seed."""
    order = {name: index for index, name in enumerate(style.augmentations)}
    for place, variant in enumerate(style.variants):
        shift = 0.13 * (place - (len(style.variants) - 1) / 2)
        runs, colour = frame[frame["variant"] == variant], style.colour[variant]
        line = partial(axes.plot, color=colour, marker=style.marker[variant])
        means = runs.groupby("augmentation")["value"].mean().reindex(list(order))
        line(np.arange(len(order)) + shift, means)
        axes.scatter(runs["augmentation"].map(order) + shift + 0.05, runs["value"], color=colour, **SEED)
        for name in dict.fromkeys(runs.loc[runs["status"] == "collapsed", "augmentation"]):
            line(order[name] + shift, means[name], markerfacecolor="white")
            axes.annotate("†", (order[name] + shift, means[name]), (-7, -3), textcoords="offset points", color=INK)
    floor(axes, frame, style)
    axes.set_xticks(range(len(order)), [style.label("augmentation", name) for name in order])
    axes.set_xlim(-0.5, len(order) - 0.5)
