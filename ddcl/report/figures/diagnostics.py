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

from ddcl.report.collected import Collected
from ddcl.report.figures.ladders import floor_marks, ladder
from ddcl.report.figures.layout import CLEAN, FLOOR, FULL, PARTS, Look, Panel, dots, panel_figure, select

EVALUATION = "diagnostics"
READOUTS = {  # metric: name; from what the paper is about to what is nearly always there
    "readout_angle": "rotation",
    "readout_elastic": "elastic strength",
    "readout_flip": "flip",
    "readout_crop_x": "crop, x",
    "readout_crop_y": "crop, y",
    "readout_crop_size": "crop, size",
    "readout_blur": "blur",
    "readout_brightness": "brightness",
    "readout_contrast": "contrast",
    "readout_saturation": "saturation",
    "readout_hue": "hue",
    "readout_shuffled": "shuffled angle",
}
COSINES = {"mean_abs_cosine": "#0072B2", "abs_mean_cosine": "#D55E00", "sd_cosine": "#999999"}
COSINE_NAMES = {"mean_abs_cosine": "mean |cos|", "abs_mean_cosine": "|mean cos|", "sd_cosine": "sd of cos"}
FACTORS = {
    "factor_shape": "shape (the class)",
    "factor_texture": "texture",
    "factor_hue": "hue",
    "factor_grey": "background",
    "factor_scale": "scale",
    "factor_x": "place, x",
    "factor_y": "place, y",
    "factor_angle_deg": "angle",
}
CHANCE = {"readout_flip": 1 / 2, "factor_shape": 1 / 6, "factor_texture": 1 / 4}  # of balanced accuracies
MARGIN = 2.0  # points, beside the lowest and the highest accuracy


def diagnosed(found: Collected, metrics: list[str], evaluation: str = EVALUATION) -> pd.DataFrame:
    """Return the rows of the diagnostics on the data set of training with these metrics, as measured."""
    records = found.records
    own = (records["evaluation"] == evaluation) & (records["eval_dataset"] == records["dataset"])
    return records[own & records["metric"].isin(metrics)]


def readout(found: Collected) -> Figure:
    """What can be read of each distortion from each part: a row of panels per method, a panel per augmentation."""
    return _readings(found, diagnosed(found, list(READOUTS)), READOUTS)


def factors(found: Collected) -> Figure:
    """What can be read of each true factor of an image from each part, drawn like `readout`."""
    return _readings(found, diagnosed(found, list(FACTORS), "factors"), FACTORS)


def _readings(found: Collected, frame: pd.DataFrame, names: dict[str, str]) -> Figure:
    look, chance = Look(found.plan), frame["metric"].map(CHANCE).astype(float).fillna(0.0)  # R² has none
    frame = frame.assign(value=(frame["value"] - chance) / (1 - chance), sd_draws=frame["sd_draws"] / (1 - chance))
    rows = {name: label for name, label in names.items() if frame.empty or name in set(frame["metric"])}
    panels = []
    for dataset, variant, augmentation in product(look.datasets, look.variants, look.augmentations):
        own = frame[frame["variant"].isin([variant, *look.floors])]
        title = [look.label("variant", variant), look.label("augmentation", augmentation)]
        panels.append(look.panel(own, dataset, title, variant=variant, augmentation=augmentation))

    def paint(axes: Axes, shown: pd.DataFrame) -> None:
        untrained = shown["variant"].isin(look.floors)
        ladder(axes, shown[~untrained], ("metric", rows), ("part", PARTS))
        floor_marks(axes, shown[untrained & (shown["part"] == FULL)], ("metric", rows), len(PARTS))

    shape = (len(look.augmentations), 0.55 + 0.17 * len(rows))
    untrained = Line2D([], [], linewidth=0, marker="D", markersize=3.2, color="white", markeredgecolor=FLOOR)
    untrained.set_label("full, untrained")
    return panel_figure(panels, shape, ("R², on test images", ""), paint, [*part_marks(), untrained, dots("seeds")])


def part_marks() -> list[Artist]:
    """Return the legend of a ladder of parts."""
    marks: list[Artist] = [
        Line2D([], [], linewidth=0, marker="o", color=colour, label=name if name == FULL else name.upper())
        for name, colour in PARTS.items()
    ]
    names = ("dir", "dvr")
    return [
        *marks,
        *(Patch(color=PARTS[part], alpha=0.35, label=f"random, as wide as {part.upper()}") for part in names),
    ]


def invariance(found: Collected) -> Figure:
    """Share of each part's variance that lies between the views of an image, one panel per augmentation."""
    look = Look(found.plan)
    rows = ("variant", look.labels("variant", [*look.variants, *look.floors]))
    paint = partial(ladder, row=rows, mark=("part", PARTS))
    panels = look.by_augmentation(diagnosed(found, ["invariance"]))
    labels = ("Variance between the views of an image / total variance", "")
    shape = (len(look.augmentations), 0.7 + 0.3 * len(rows[1]))
    return panel_figure(panels, shape, labels, paint, [*part_marks(), dots("seeds")])


def class_controls(found: Collected) -> Figure:
    """Accuracy of each part on clean images beside as many random columns, one panel per augmentation."""
    look = Look(found.plan)
    evaluation = look.evaluation("knn")
    frame = select(found.records, evaluation=evaluation, perturbation=CLEAN)
    frame["sd_draws"] = frame["sd_draws"] * 100
    rows = ("variant", look.labels("variant", [*look.variants, *look.floors]))
    spread = frame["sd_draws"].fillna(0.0)
    low, high = np.nanmin([*(frame["value"] - spread), 100.0]), np.nanmax([*(frame["value"] + spread), 0.0])
    paint = partial(ladder, row=rows, mark=("part", PARTS), limits=(low - MARGIN, high + MARGIN))
    labels = (f"Top-1 on clean images (%), {look.label('evaluation', evaluation)}", "")
    shape = (len(look.augmentations), 0.7 + 0.3 * len(rows[1]))
    return panel_figure(look.by_augmentation(frame), shape, labels, paint, [*part_marks(), dots("seeds")])


def cosines(found: Collected) -> Figure:
    """Cosines between an image's two views: what the loss drives to zero, beside single images."""
    look, frame = Look(found.plan), diagnosed(found, list(COSINES))
    parts = dict.fromkeys((run.variant, part) for run in look.runs for part in run.parts if part != FULL)
    parts |= dict.fromkeys((run.variant, FULL) for run in look.runs if len(run.parts) == 1)
    names = {f"{variant}/{part}": _case(look, variant, part) for variant, part in parts}
    frame = frame.assign(case=frame["variant"] + "/" + frame["part"])
    panels = [
        Panel(panel.title, panel.frame[panel.frame["case"].isin(list(names))], panel.runs)
        for panel in look.by_augmentation(frame)
    ]
    paint = partial(ladder, row=("case", names), mark=("metric", COSINES))
    handles: list[Artist] = [
        Line2D([], [], linewidth=0, marker="o", color=colour, label=COSINE_NAMES[name])
        for name, colour in COSINES.items()
    ]
    shape = (len(look.augmentations), 0.7 + 0.26 * len(names))
    labels = ("Cosine between the two views of an image", "")
    return panel_figure(panels, shape, labels, paint, [*handles, dots("seeds")])


def _case(look: Look, variant: str, part: str) -> str:
    """Return how a part of a method is printed; `full` is all of a method without parts."""
    return look.label("variant", variant) + ("" if part == FULL else f", {part.upper()}")
