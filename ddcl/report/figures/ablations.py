"""Figures of ablations: accuracy against one number of the method, all others being equal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ddcl.base.files import canonical_json
from ddcl.plan.plan import PlannedRun
from ddcl.report.collected import Collected
from ddcl.report.figures.differences import dot_figure, of_parts, paired, together
from ddcl.report.figures.layout import FULL, LOOKS, PART_NAMES, PARTS, FigureStyle, Panel, dots, panel_figure, select
from ddcl.report.figures.painters import Hue, floor, trends
from ddcl.schema.names import CLEAN
from ddcl.schema.tables import RUN

TRAINING = ("method", "backbone", "epochs", "extra_warmup_epochs", "batch_size", "authors")  # keys of a run of the plan


def ablation(found: Collected, setting: str, label: str, unit: float = 1.0) -> Figure:
    """Accuracy of the parts on clean images against a setting of the method, one panel per augmentation.

    setting: its key in the plan's runs. label: of the horizontal axis. unit: what its values are multiplied by.
    """
    style = FigureStyle(found.plan, all_runs=True)
    evaluation, groups = style.evaluation("linear"), series(style.runs, setting)
    frame, ticks = _placed(select(found.records, evaluation=evaluation, perturbation=CLEAN), groups, (setting, unit))
    panels = [_panel(style, frame, runs, groups) for runs in groups]
    paint = partial(_paint, ticks=ticks, style=style)
    lines = [Line2D([], [], label=PART_NAMES[part], **look) for part, look in LOOKS.items()]
    labels = (label, f"Top-1 (%), {style.label('evaluation', evaluation)}")
    floors = style.lines()[len(style.variants) :]
    return panel_figure(panels, (min(len(panels), 3), 2.3), labels, paint, [*lines, *floors, dots("seeds", "#666666")])


def differences(found: Collected, setting: str, label: str, unit: float = 1.0) -> Figure:
    """Differences of the same accuracies from those of the method's own number, one panel per augmentation."""
    style = FigureStyle(found.plan, all_runs=True)
    evaluation, groups = style.evaluation("linear"), series(style.runs, setting)
    frame, ticks = _placed(select(found.records, evaluation=evaluation, perturbation=CLEAN), groups, (setting, unit))
    own = paired(frame, found.plan)
    in_series = {run.arm for runs in groups for run in runs}
    arms = zip(own["dataset"], own["baseline"], own["augmentation"], strict=True)
    own = own[[arm in in_series for arm in arms]]
    panels = [_panel(style, own, runs, groups) for runs in groups]
    panels = [
        panel._replace(title=f"{panel.title} · minus {style.label('variant', panel.frame['baseline'].iloc[0])}")
        for panel in panels
        if len(panel.frame)
    ]
    labels = (label, f"Points of top-1, {style.label('evaluation', evaluation)}")
    return dot_figure(panels, (min(len(panels), 3), 2.3), labels, ticks, of_parts(together(panels)))


def _placed(
    frame: pd.DataFrame, groups: list[list[PlannedRun]], scale: tuple[str, float]
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of parts with the place `x` of their run's number among all of them, and how these are printed.

    scale: the setting, and what its numbers are multiplied by.
    """
    setting, unit = scale
    values = sorted({run.settings[setting] for runs in groups for run in runs})
    x = {run.names: values.index(run.settings[setting]) for runs in groups for run in runs}
    frame = frame[frame["part"].isin(list(PARTS))]
    frame = frame.assign(x=[x.get(key, np.nan) for key in frame[RUN].itertuples(index=False, name=None)])
    return frame, [f"{value * unit:g}" for value in values]


def series(runs: Iterable[PlannedRun], setting: str) -> list[list[PlannedRun]]:
    """Return the runs that differ in `setting` and in their seed only, where it has at least two values."""
    groups: dict[Any, list[PlannedRun]] = {}
    for run in runs:
        others = dict(run.settings)
        if others.pop(setting, None) is not None:
            same = [run.dataset, run.augmentation, others, *(getattr(run, key) for key in TRAINING)]
            groups.setdefault(canonical_json(same), []).append(run)
    return [own for own in groups.values() if len({run.settings[setting] for run in own}) > 1]


def _panel(style: FigureStyle, frame: pd.DataFrame, runs: list[PlannedRun], groups: list[list[PlannedRun]]) -> Panel:
    """Return the panel of one series and of the untrained encoders of its data set.

    Its title names the variant where another series has the same data set and augmentation.
    """
    dataset, augmentation = runs[0].dataset, runs[0].augmentation
    title = [style.label("dataset", dataset)] * (len(style.datasets) > 1) + [style.label("augmentation", augmentation)]
    keys = [run.names for run in style.runs if not run.trains and run.dataset == dataset]
    keys += [run.names for run in runs]
    alike = [own for own in groups if (own[0].dataset, own[0].augmentation) == (dataset, augmentation)]
    title += [style.label("variant", runs[0].variant)] * (len(alike) > 1)
    return Panel(" · ".join(title), frame[pd.MultiIndex.from_frame(frame[RUN]).isin(keys)])


def _paint(axes: Axes, frame: pd.DataFrame, ticks: list[str], style: FigureStyle) -> None:
    floor(axes, frame[frame["part"] == FULL], style)
    trends(axes, frame, Hue("part", LOOKS, 0.08, 0.1), ticks)
