"""Figures of accuracies: while training, under perturbations, after each augmentation, of each part."""

from __future__ import annotations

from functools import partial
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ddcl.report.collected import Collected
from ddcl.report.figures.layout import (
    BAND,
    FULL,
    PART_NAMES,
    PARTS,
    FigureStyle,
    Panel,
    dots,
    panel_figure,
    same_scale,
    select,
)
from ddcl.report.figures.painters import Hue, bars, curves, floor, trends
from ddcl.report.tables.convergence import trained
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import TOP1
from ddcl.schema.tables import RUN


def knn_curves(found: Collected) -> Figure:
    """kNN accuracy of the methods against epoch, one panel per augmentation of the training, or several (`curves`)."""
    style = FigureStyle(found.plan, ablations=False)
    monitored = found.histories.reindex(columns=[*RUN, "epoch", "knn_top1"]).dropna()
    monitored = monitored[(monitored["epoch"] == 0) | ~monitored["variant"].isin(style.floors)]
    frame = trained(found.records).merge(monitored, on=RUN, how="left")
    frame = frame.astype({"knn_top1": float, "epoch": float}).assign(value=lambda rows: rows["knn_top1"] * 100)
    panels, columns = style.curves(frame)
    labels, height = ("Epoch", "kNN top-1 (%)"), 2.2 if len(panels) == columns else 1.9
    handles = [*style.lines(), Patch(color=BAND, label="range of seeds")]
    figure = panel_figure(panels, (columns, height), labels, partial(curves, style=style), handles)
    if len(style.datasets) == 1:
        same_scale([axes for axes in figure.axes if axes.get_visible()])
    return figure


def robustness(found: Collected) -> Figure:
    """Linear accuracy under each perturbation of the test images, one panel per augmentation of the training."""
    style = FigureStyle(found.plan)
    evaluation = style.evaluation("linear")
    frame = select(found.records, evaluation=evaluation, part=FULL)
    single = [name for name in found.plan.perturbations if name not in found.plan.families]  # a family has a table
    group = ("perturbation", style.labels("perturbation", single))
    names = style.labels("variant", style.colour)
    paint = partial(bars, group=group, bar=("variant", style.colour), names=names, alpha=style.alpha)
    labels = ("Perturbation of the test images", f"Top-1 (%), {style.label('evaluation', evaluation)}")
    handles = [
        Patch(color=colour, alpha=style.alpha(name), label=style.label("variant", name))
        for name, colour in style.colour.items()
    ]
    return panel_figure(style.by_augmentation(frame), (1, 1.5), labels, paint, [*handles, dots("seeds, ± sd")])


def augmentation(found: Collected) -> Figure:
    """Accuracy on clean images against the augmentation of the training, one panel per evaluation."""
    style = FigureStyle(found.plan, ablations=False)
    frame = select(found.records, perturbation=CLEAN, part=FULL)
    rows = []
    for dataset in style.datasets:
        targets = [each for run in style.runs if run.dataset == dataset for each in run.targets]
        own = {each.evaluation for each in targets if each.eval_dataset == dataset and TOP1 in each.metrics}
        evaluations = style.labels("evaluation", [name for name in found.plan.evaluations if name in own])
        rows.append(
            [style.panel(frame[frame["evaluation"] == name], dataset, [label]) for name, label in evaluations.items()]
        )
    columns = min(max(map(len, rows), default=0), 4)
    panels = [panel for row in rows for panel in [*row, *[None] * (-len(row) % columns)]]  # a data set has its own rows
    labels = ("Augmentation of the training", "Top-1 on clean images (%)")
    handles = [*style.lines(), dots("seeds", "#666666")]
    looks = {name: style.line(name) for name in style.variants}
    hue, ticks = Hue("variant", looks, 0.13, 0.05), style.labels("augmentation", style.augmentations)

    def paint(axes: Axes, shown: pd.DataFrame) -> None:
        places = {name: float(place) for place, name in enumerate(ticks)}
        trends(axes, shown.assign(x=shown["augmentation"].map(places)), hue, list(ticks.values()))
        floor(axes, shown, style)

    return panel_figure(panels, (columns, 2.3), labels, paint, handles)


def parts(found: Collected) -> Figure:
    """kNN accuracy of the whole features and of their parts, on clean and on rotated images."""
    style = FigureStyle(found.plan)
    evaluation = style.evaluation("knn")
    panels, columns = parts_panels(
        style, select(found.records, evaluation=evaluation), style.labels("variant", split(style))
    )
    group = ("augmentation", style.labels("augmentation", style.augmentations))

    def paint(axes: Axes, shown: pd.DataFrame) -> None:
        bars(axes, shown[~shown["variant"].isin(style.floors)], group, ("part", PARTS), PART_NAMES)
        floor(axes, shown, style)

    patches = [Patch(color=colour, label=PART_NAMES[name]) for name, colour in PARTS.items()]
    handles = [*patches, *style.lines()[len(style.variants) :], dots("seeds, ± sd")]
    labels = ("Augmentation of the training", f"Top-1 (%), {style.label('evaluation', evaluation)}")
    return panel_figure(panels, (columns, 1.8), labels, paint, handles)


def split(style: FigureStyle) -> list[str]:
    """Return the variants whose features have parts."""
    return list(dict.fromkeys(run.variant for run in style.runs if len(run.parts) > 1))


def parts_panels(style: FigureStyle, frame: pd.DataFrame, titles: dict[str, str]) -> tuple[list[Panel], int]:
    """Return a row of panels per data set and variant, on clean and on rotated images, and how many are in a row.

    titles: of the variants.
    """
    frame, known = frame[frame["part"].isin(list(PARTS))], style.plan.perturbations  # no random columns
    columns = [CLEAN, "color_rotate"] if {CLEAN, "color_rotate"} <= set(known) else known[:2]
    panels = []
    for dataset, (variant, text), name in product(style.datasets, titles.items(), columns):
        title = [text, style.label("perturbation", name)]
        panels.append(style.panel(frame[frame["perturbation"] == name], dataset, title, variant=variant))
    return panels, len(columns)
