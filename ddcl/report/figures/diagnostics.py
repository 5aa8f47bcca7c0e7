"""Figures of the diagnostics: what each part knows of the distortion, its invariance, and DVR's cosines."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ddcl.plan.plan import Plan
from ddcl.report.collected import Collected
from ddcl.report.figures.dot_plots import dot_plot, floor_marks
from ddcl.report.figures.layout import (
    FULL,
    NOTE,
    PART_NAMES,
    PARTS,
    FigureStyle,
    Panel,
    dots,
    in_rows,
    panel_figure,
    select,
)
from ddcl.schema.metrics import Metric
from ddcl.schema.names import CLEAN

EVALUATION = "diagnostics"
FIRST = (  # readouts, from what the paper is about to what is nearly always there; others follow
    *("readout_angle", "readout_elastic", "readout_flip", "readout_crop_x", "readout_crop_y", "readout_crop_size"),
    *("readout_blur", "readout_brightness", "readout_contrast", "readout_saturation", "readout_hue"),
    *("readout_shuffled", "factor_shape", "factor_texture", "factor_hue", "factor_grey", "factor_scale", "factor_x"),
    *("factor_y", "factor_angle_deg"),
)
COSINES = {"mean_abs_cosine": "#1c2024", "abs_mean_cosine": "#6b737b", "sd_cosine": "#b4bac0"}
MARGIN = 2.0  # points, beside the lowest and the highest accuracy


def diagnosed(found: Collected, metrics: list[str], evaluation: str = EVALUATION) -> pd.DataFrame:
    """Return the rows of the diagnostics on the data set of training with these metrics, as measured."""
    records = found.records
    own = (records["evaluation"] == evaluation) & (records["eval_dataset"] == records["dataset"])
    return records[own & records["metric"].isin(metrics)]


def readout(found: Collected) -> Figure:
    """What can be read of each distortion from each part: a row of panels per method, a panel per augmentation.

    With one augmentation, the methods are beside each other.
    """
    return _readings(found, "readout", EVALUATION)


def factors(found: Collected) -> Figure:
    """What can be read of each true factor of an image from each part, drawn like `readout`."""
    return _readings(found, "factor", "factors")


def ordered(plan: Plan, kind: str) -> dict[str, Metric]:
    """Return the plan's metrics of a kind by name, those of `FIRST` first."""
    places = {name: place for place, name in enumerate(FIRST)}
    own = [metric for metric in plan.metrics.values() if metric.kind == kind]
    return {metric.name: metric for metric in sorted(own, key=lambda each: places.get(each.name, len(FIRST)))}


def _readings(found: Collected, kind: str, evaluation: str) -> Figure:
    style, metrics = FigureStyle(found.plan), ordered(found.plan, kind)
    frame = diagnosed(found, list(metrics), evaluation)
    chance = frame["metric"].map({name: metric.chance or 0.0 for name, metric in metrics.items()}).astype(float)
    frame = frame.assign(value=(frame["value"] - chance) / (1 - chance), sd_draws=frame["sd_draws"] / (1 - chance))
    measured = set(frame["metric"]) or set(metrics)
    rows = {name: metric.heading for name, metric in metrics.items() if name in measured} or {"": ""}
    methods: list[list[Panel | None]] = []
    for dataset, variant in product(style.datasets, style.variants):
        own = frame[frame["variant"].isin([variant, *style.floors])]
        made = [
            style.panel(own, dataset, [style.label("variant", variant), label], variant=variant, augmentation=name)
            for name, label in style.labels("augmentation", style.augmentations).items()
        ]
        whole = [panel for panel in made if (panel.frame["variant"] == variant).any()]
        methods.append([*whole, *[None] * (len(made) - len(whole))])  # a gap before a panel would need room for labels
    panels, columns = in_rows(methods)

    def paint(axes: Axes, shown: pd.DataFrame) -> None:
        untrained = shown["variant"].isin(style.floors)
        dot_plot(axes, shown[~untrained], ("metric", rows), ("part", PARTS))
        floor_marks(axes, shown[untrained & (shown["part"] == FULL)], ("metric", rows), len(PARTS))

    shape = (columns, 0.55 + 0.17 * len(rows))
    untrained = Line2D([], [], linewidth=0, marker="D", markersize=3.2, color="white", markeredgecolor=NOTE)
    untrained.set_label("whole, untrained")
    return panel_figure(panels, shape, ("R², on test images", ""), paint, [*part_marks(), untrained, dots("seeds")])


def part_marks() -> list[Artist]:
    """Return the legend of a dot_plot of parts."""
    marks: list[Artist] = [
        Line2D([], [], linewidth=0, marker="o", color=colour, label=PART_NAMES[name]) for name, colour in PARTS.items()
    ]
    names = ("dir", "dvr")
    return [
        *marks,
        *(Patch(color=PARTS[part], alpha=0.35, label=f"random, as wide as {part.upper()}") for part in names),
    ]


def invariance(found: Collected) -> Figure:
    """Share of each part's variance that lies between the views of an image, one panel per augmentation."""
    style = FigureStyle(found.plan)
    rows = ("variant", style.labels("variant", [*style.variants, *style.floors]))
    paint = partial(dot_plot, row=rows, mark=("part", PARTS))
    panels = style.by_augmentation(diagnosed(found, ["invariance"]))
    labels = ("Variance between the views of an image / total variance", "")
    shape = (len(style.augmentations), 0.7 + 0.3 * len(rows[1]))
    return panel_figure(panels, shape, labels, paint, [*part_marks(), dots("seeds")])


def class_controls(found: Collected) -> Figure:
    """Accuracy of each part on clean images beside as many random columns, one panel per augmentation."""
    style = FigureStyle(found.plan)
    evaluation = style.evaluation("knn")
    frame = select(found.records, evaluation=evaluation, perturbation=CLEAN)
    frame["sd_draws"] = frame["sd_draws"] * 100
    rows = ("variant", style.labels("variant", [*style.variants, *style.floors]))
    spread = frame["sd_draws"].fillna(0.0)
    low, high = np.nanmin([*(frame["value"] - spread), 100.0]), np.nanmax([*(frame["value"] + spread), 0.0])
    paint = partial(dot_plot, row=rows, mark=("part", PARTS), limits=(low - MARGIN, high + MARGIN))
    labels = (f"Top-1 on clean images (%), {style.label('evaluation', evaluation)}", "")
    shape = (len(style.augmentations), 0.7 + 0.3 * len(rows[1]))
    return panel_figure(style.by_augmentation(frame), shape, labels, paint, [*part_marks(), dots("seeds")])


def cosines(found: Collected) -> Figure:
    """Cosines between an image's two views: what the loss drives to zero, beside single images."""
    style, frame = FigureStyle(found.plan), diagnosed(found, list(COSINES))
    parts = dict.fromkeys((run.variant, part) for run in style.runs for part in run.parts if part != FULL)
    parts |= dict.fromkeys((run.variant, FULL) for run in style.runs if len(run.parts) == 1)
    names = {f"{variant}/{part}": _case(style, variant, part) for variant, part in parts}
    frame = frame.assign(case=frame["variant"] + "/" + frame["part"])
    panels = [
        panel._replace(frame=panel.frame[panel.frame["case"].isin(list(names))])
        for panel in style.by_augmentation(frame)
    ]
    paint = partial(dot_plot, row=("case", names), mark=("metric", COSINES))
    handles: list[Artist] = [
        Line2D([], [], linewidth=0, marker="o", color=colour, label=found.plan.heading(name))
        for name, colour in COSINES.items()
    ]
    shape = (len(style.augmentations), 0.7 + 0.26 * len(names))
    labels = ("Cosine between the two views of an image", "")
    return panel_figure(panels, shape, labels, paint, [*handles, dots("seeds")])


def _case(style: FigureStyle, variant: str, part: str) -> str:
    """Return how a part of a method is printed; `full` is all of a method without parts."""
    return style.label("variant", variant) + ("" if part == FULL else f", {part.upper()}")
