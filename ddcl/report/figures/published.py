"""Figure of measured against published numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ddcl.report.collected import Collected
from ddcl.report.figures.layout import NOTE, FigureStyle, Panel, panel_figure
from ddcl.report.sources import SOURCES
from ddcl.report.tables.cells import expected_cells
from ddcl.report.tables.published import published_table
from ddcl.schema.tables import RUN

MARKERS = "osDv^P*Xph<>d8"  # of sources
ARM = ["dataset", "variant", "augmentation"]


def published(found: Collected) -> Figure:
    """Measured against published accuracy, one panel per data set, one marker per source."""
    style = FigureStyle(found.plan)
    frame = pairs(published_table(expected_cells(found.records, found.plan), found.plan))
    sources = list(dict.fromkeys(frame.loc[frame["value"].notna(), "source"]))
    marks: dict[str, dict[str, Any]] = {
        name: {"color": NOTE, "marker": MARKERS[i % len(MARKERS)]} for i, name in enumerate(sources)
    }
    panels = []
    for dataset in dict.fromkeys(frame["dataset"]):
        own = frame[frame["dataset"] == dataset]
        panels.append(Panel(style.label("dataset", dataset), own))
    handles: list[Any] = [Line2D([], [], linewidth=0, label=name, **marks[name]) for name in sources]
    handles += [
        Line2D([], [], linewidth=0, marker="o", color=NOTE, label="nothing known to differ"),
        Line2D([], [], linewidth=0, marker="o", color=NOTE, markerfacecolor="white", label="known to differ"),
        Line2D([], [], color=NOTE, linestyle="--", label="equal"),
    ]
    labels = ("Published top-1 (%)", "Measured top-1 (%)")
    return panel_figure(panels, (min(len(panels), 3), 2.6), labels, partial(_paint, marks=marks), handles)


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per published number and what it is put beside, with `published` and the measured `value`.

    A value that was not measured is NaN and its status `missing`. Columns as those of an accuracy: `RUN`, with seed 0,
    as the value is a mean over seeds.
    """
    rows = []
    public: dict[Any, dict[Any, Any]] = {}
    for row in table.to_dict("records"):
        key = (row[SOURCES][-1], *(row[name] for name in (*ARM, "evaluation")))
        if row["metric"] == "published":
            public[key] = row
        elif row["metric"] == "difference":
            own: dict[str, Any] = {name: row[name] for name in (*ARM, "source", "protocol_matches", "sd")}
            own["status"] = row["status"].rpartition(" ")[2]  # of a count of seeds, the last word
            number = public[key]["mean"]
            rows.append(own | {"seed": 0, "published": number, "value": number + row["mean"]})
    return pd.DataFrame(rows, columns=[*RUN, "source", "protocol_matches", "status", "sd", "published", "value"])


def _paint(axes: Axes, frame: pd.DataFrame, marks: dict[str, dict[str, Any]]) -> None:
    """Draw the identity, and each pair with its standard deviation over seeds; hollow where the protocol differs."""
    shown = frame.dropna(subset=["value"])
    for row in shown.to_dict("records"):
        own = marks[row["source"]]
        face = own["color"] if row["protocol_matches"] == "yes" else "white"
        axes.errorbar(row["published"], row["value"], row["sd"], elinewidth=0.6, markerfacecolor=face, **own)
    if len(shown):
        ends = [shown[["published", "value"]].min().min() - 3, shown[["published", "value"]].max().max() + 3]
        axes.plot(ends, ends, color=NOTE, linestyle="--", linewidth=0.9, zorder=1)
