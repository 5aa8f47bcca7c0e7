"""Convergence: kNN accuracy and the loss on DIR against epochs and against seconds of training."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ddcl.report.collected import Collected
from ddcl.report.figures.layout import BAND, NOTE, FigureStyle, Panel, panel_figure
from ddcl.report.figures.painters import curves
from ddcl.report.tables.convergence import trained
from ddcl.schema.tables import RUN

PLACES = {"epoch": "Epoch, warm-up included", "seconds": "Seconds of training"}


def knn(found: Collected) -> Figure:
    """kNN accuracy while training, against epochs and seconds; a row of panels per augmentation."""
    style, frame = FigureStyle(found.plan, ablations=False), _curves(found, "knn_top1")
    frame = frame[(frame["epoch"] == 0) | frame["epoch"].isna() | ~frame["variant"].isin(style.floors)]
    panels, _ = style.curves(frame.assign(value=frame["value"] * 100))
    return _figure(style, panels, "kNN top-1 (%)", style.lines())


def loss(found: Collected) -> Figure:
    """The loss on DIR, or the whole loss of a method without parts, against epochs and seconds.

    Losses of other forms have other scales: those that are cosines and the others have panels of their own.
    """
    style, frame = FigureStyle(found.plan, ablations=False), _curves(found, "dir_loss")
    frame = frame[~frame["variant"].isin(style.floors) & (frame["epoch"].isna() | (frame["epoch"] > 0))]
    cosine = frame.groupby("variant")["value"].transform("median") < 0
    kinds = {"cosine loss": frame[cosine], "sum of squares": frame[~cosine & frame["value"].notna()]}
    shown = {name: rows for name, rows in kinds.items() if len(rows)} or {"": frame}
    panels: list[Panel] = []
    for name, rows in shown.items():
        variants = set(rows["variant"])
        own, _ = style.curves(frame[frame["variant"].isin(variants)])
        panels += [panel._replace(title=f"{panel.title} · {name}" if name else panel.title) for panel in own if panel]
    return _figure(style, panels, "Loss on DIR", style.lines()[: len(style.variants)])


def _curves(found: Collected, column: str) -> pd.DataFrame:
    """Return the histories' rows that have the quantity, as `value`, with each run's status; a row per run without."""
    histories = found.histories.reindex(columns=[*RUN, "epoch", "seconds", "loss", "knn_top1", "dir_loss"])
    if column == "dir_loss":
        histories["dir_loss"] = histories["dir_loss"].fillna(histories["loss"])
    histories = histories.assign(value=histories[column].astype(float)).dropna(subset=["value"])
    frame: pd.DataFrame = trained(found.records).merge(
        histories[[*RUN, "epoch", "seconds", "value"]], on=RUN, how="left"
    )
    return frame.astype({"epoch": float, "seconds": float})


def _figure(style: FigureStyle, panels: Iterable[Panel | None], ylabel: str, lines: list[Artist]) -> Figure:
    """Lay out each panel twice: against epochs, and against seconds."""
    twice = [
        panel._replace(frame=panel.frame.assign(x=panel.frame[place], axis=place), xlabel=label)
        for panel in panels
        if panel
        for place, label in PLACES.items()
    ]
    handles = [*lines, Patch(color=BAND, label="range of seeds")]
    return panel_figure(twice, (2, 1.7), ("", ylabel), partial(_paint, style=style), handles, sharex="col")


def _paint(axes: Axes, frame: pd.DataFrame, style: FigureStyle) -> None:
    curves(axes, frame, style, ("epoch", "x"))
    warmups = {run.extra_warmup_epochs for run in style.runs if run.extra_warmup_epochs}
    if "epoch" in set(frame["axis"]):
        for epochs in warmups:
            axes.axvline(epochs, color=NOTE, linestyle=":", linewidth=0.9)
