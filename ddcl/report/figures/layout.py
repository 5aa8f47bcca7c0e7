"""What all figures share: style, names of a suite, panels and their layout, the files."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from ddcl.base.files import write_atomic, write_text
from ddcl.plan.plan import Plan
from ddcl.report.figures.svg import svg_of
from ddcl.schema.registry import TOP1
from ddcl.schema.tables import RUN

FULL = "full"
NO_PANELS = "no data: there is nothing to draw, the suite shows no such run"
WIDTH = 6.0  # inches: 900 pixels at 150 dpi, and the text width of a paper
# Parts of the features have no hue: hues are the methods' (config/marks.yaml).
PARTS = {"full": "#1c2024", "dir": "#6b737b", "dvr": "#b4bac0"}
PART_NAMES = {"full": "whole", "dir": "DIR", "dvr": "DVR"}
LOOKS: dict[str, dict[str, Any]] = {
    part: {"color": colour, "marker": marker} for (part, colour), marker in zip(PARTS.items(), "osD", strict=True)
}
MARKS = {"collapsed": "†", "diverged": "‡"}  # as in the tables
INK, NOTE, LINE, BAND = "#1c2024", "#59616a", "#dfe2e6", "#e9ebe8"
DASHES = ((4, 1.5), (2, 1), (6, 1.5, 1, 1.5), (1, 1), (8, 2), (3, 1, 1, 1, 1, 1))  # of variants that are no main arms
FAINT = 0.5
MOST_LINES = 6  # with bands, in one panel
MOST_COLUMNS = 3  # of panels that are beside each other only to save room
STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 7.0, "legend.frameon": False, "pdf.fonttype": 42}
STYLE |= {"text.parse_math": False}  # a label is a text, whatever it looks like
STYLE |= {"axes.titlesize": 7.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.linewidth": 0.6}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "lines.markersize": 3.8}
STYLE |= {"axes.grid": True, "axes.grid.axis": "y", "grid.color": LINE, "grid.linewidth": 0.5}
STYLE |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK)
STYLE |= {"svg.fonttype": "none"}  # texts stay texts, in the reader's own colours
STYLE |= {"xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 1.3}
SEED: dict[str, Any] = {"s": 5, "linewidth": 0.5, "zorder": 4}
Axis = tuple[str, dict[str, str]]
Paint = Callable[[Axes, pd.DataFrame], None]


class Panel(NamedTuple):
    """What one panel shows: its rows (column `value`), one at least for each run that is planned to be in it.

    xlabel, ylabel: in place of the figure's.
    """

    title: str
    frame: pd.DataFrame
    xlabel: str = ""
    ylabel: str = ""


class FigureStyle:
    """The names of a suite in its order, their labels, and the fixed look of each variant: that of its method.

    all_runs: with those that the suite does not choose for its figures.
    ablations: with variants that change a method. Without them, if there are methods: many curves hide each other.
    """

    def __init__(self, plan: Plan, all_runs: bool = False, ablations: bool = True) -> None:
        self.plan = plan
        runs = plan.runs if all_runs else plan.shown
        if not ablations and any(run.trains and run.variant == run.method for run in runs):
            runs = [run for run in runs if not run.trains or run.variant == run.method]
        self.runs = runs
        self.datasets = list(dict.fromkeys(run.dataset for run in runs))
        self.variants = list(dict.fromkeys(run.variant for run in runs if run.trains))
        self.floors = list(dict.fromkeys(run.variant for run in runs if not run.trains))
        self.augmentations = list(dict.fromkeys(run.augmentation for run in runs if run.trains))
        self.method = plan.methods
        self.colour = {name: plan.marks[self.method[name]].light for name in (*self.variants, *self.floors)}
        others = [run.variant for run in runs if run.trains and run.variant != run.method]
        self.dash = dict(zip(dict.fromkeys(others), cycle(DASHES)))

    def mark(self, variant: str) -> dict[str, Any]:
        """Return how a variant's marks are drawn: open where its method is a baseline."""
        own = self.plan.marks[self.method[variant]]
        face = "white" if own.fill == "open" else own.light
        return {"color": own.light, "marker": own.marker, "markerfacecolor": face, "markeredgecolor": own.light}

    def alpha(self, variant: str) -> float:
        """Return how opaque a variant's bars are: less where it has the colour of the method that it belongs to."""
        return FAINT if variant in self.dash else 1.0

    def line(self, variant: str) -> dict[str, Any]:
        """Return how a variant's lines are drawn: dashed where it is no method itself, or its method a reference."""
        dash = self.dash.get(variant) or self.plan.marks[self.method[variant]].dash
        return self.mark(variant) | {"linestyle": (0, tuple(dash)) if dash else "-"}

    def label(self, key: str, name: str) -> str:
        """Return how `name` is printed."""
        return self.plan.label(key, name)

    def labels(self, key: str, names: Iterable[str]) -> dict[str, str]:
        """Return how each of `names` is printed."""
        return {name: self.label(key, name) for name in names}

    def evaluation(self, preferred: str) -> str:
        """Return `preferred` if the suite has it, else the suite's first evaluation."""
        return preferred if preferred in self.plan.evaluations else next(iter(self.plan.evaluations))

    def panel(self, frame: pd.DataFrame, dataset: str, title: list[str], **only: str) -> Panel:
        """Return the panel of the trained runs with the values `only`, and of the untrained runs."""
        keys = [
            run.names
            for run in self.runs
            if run.dataset == dataset
            if not run.trains or all(getattr(run, key) == name for key, name in only.items())
        ]
        title = [self.label("dataset", dataset), *title] if len(self.datasets) > 1 else title
        return Panel(" · ".join(title), frame[pd.MultiIndex.from_frame(frame[RUN]).isin(keys)])

    def by_augmentation(self, frame: pd.DataFrame) -> list[Panel]:
        """Return one panel per dataset and augmentation of the training."""
        places = product(self.datasets, self.labels("augmentation", self.augmentations).items())
        return [self.panel(frame, dataset, [label], augmentation=name) for dataset, (name, label) in places]

    def curves(self, frame: pd.DataFrame) -> tuple[list[Panel | None], int]:
        """Return the panels of `by_augmentation`, and how many are in a row.

        If the methods are too many for one panel, there is a row for each family of them.
        """
        panels, columns = self.by_augmentation(frame), len(self.augmentations)
        if len(self.variants) <= MOST_LINES:
            return list(panels), columns
        rows = []
        for start in range(0, len(panels), columns):
            for title, names in self._families().items():
                rows.append([_only(panel, title, names, self.floors) for panel in panels[start : start + columns]])
        return in_rows(rows)

    def _families(self) -> dict[str, list[str]]:
        """Return the trained variants in groups, each by its title: a baseline with what extends it, and the others."""
        base = {run.variant: run.baseline or run.variant for run in self.runs if run.trains}
        sizes = Counter(base.values())
        found: dict[str, list[str]] = {}
        for name in self.variants:
            title = self.label("variant", base[name]) if sizes[base[name]] > 1 else "others"
            found.setdefault(title, []).append(name)
        return found

    def lines(self) -> list[Artist]:
        """Return the legend of a figure whose variants are lines."""
        looks = {name: self.line(name) for name in self.variants}
        looks |= {name: self.line(name) | {"marker": ""} for name in self.floors}
        return [Line2D([], [], label=self.label("variant", name), **look) for name, look in looks.items()]


def _only(panel: Panel, title: str, names: list[str], floors: list[str]) -> Panel | None:
    """Return the panel with these variants and the untrained ones alone; None if it has none of these variants."""
    own = panel.frame[panel.frame["variant"].isin([*names, *floors])]
    return Panel(f"{panel.title} · {title}", own) if own["variant"].isin(names).any() else None


def in_rows(rows: list[list[Panel | None]]) -> tuple[list[Panel | None], int]:
    """Return the panels of rows of the same length, and how many are in a row, for `panel_figure`.

    Rows and columns without a panel are left out. If one column remains, its panels are beside each other.
    """
    columns = [column for column in zip(*rows, strict=True) if any(panel is not None for panel in column)]
    if len(columns) == 1:
        alone = [panel for panel in columns[0] if panel is not None]
        return [*alone], min(len(alone), MOST_COLUMNS)
    kept = [row for row in zip(*columns, strict=True) if any(panel is not None for panel in row)]
    return [panel for row in kept for panel in row], len(columns)


def write_figure(figure: Figure, stem: Path, plan: Plan | None = None) -> None:
    """Write `stem`.png (150 dpi) and .pdf without dates or versions, so the same figure gives the same bytes.

    plan: whose marks the figure has; with it, `stem`.svg is written, too.
    """
    empty = {"png": {"Software": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}
    with rc_context(STYLE):
        for suffix, metadata in empty.items():
            save = partial(figure.savefig, format=suffix, dpi=150, metadata=metadata)
            write_atomic(stem.with_name(f"{stem.name}.{suffix}"), save)
        if plan:
            write_text(stem.with_name(f"{stem.name}.svg"), svg_of(figure, stem.name, plan))
    figure.clear()


def select(records: pd.DataFrame, **keys: str) -> pd.DataFrame:
    """Return the top-1 rows with these values, tested on the dataset that they were trained on; values in percent."""
    chosen = records[(records["metric"] == TOP1) & (records["eval_dataset"] == records["dataset"])]
    for key, name in keys.items():
        chosen = chosen[chosen[key] == name]
    return chosen.assign(value=chosen["value"] * 100)


def dots(label: str, colour: str = "white") -> Line2D:
    """Return the legend of the dots."""
    return Line2D([], [], linewidth=0, marker="o", markersize=2.8, color=colour, markeredgecolor=NOTE, label=label)


def note(panel: Panel) -> str:
    """Return how many of the expected runs are not whole: ``2 of 24 runs missing``."""
    status: dict[Any, str] = {}
    for run, rows in panel.frame.groupby(RUN):
        unmeasured = ["missing"] if rows["value"].isna().any() else []
        status[run] = [*(name for name in rows["status"] if name != "ok"), *unmeasured, "ok"][0]
    found = sorted(Counter(name for name in status.values() if name != "ok").items())
    return ", ".join(f"{MARKS.get(name, '')} {count} of {len(status)} runs {name}".lstrip() for name, count in found)


def _notes(panels: Sequence[Panel | None], columns: int) -> list[str]:
    """Return what is written above each panel: 96 characters fit beside each other."""
    # no line ends within "2 of 24 runs missing"
    texts = [note(panel).replace(" ", "\0").replace(",\0", ", ") if panel else "" for panel in panels]
    return [textwrap.fill(text, 96 // columns).replace("\0", " ") for text in texts]


def _nothing(height: float) -> Figure:
    """Return a figure without panels, which says so. height: of a row, inches."""
    figure = Figure(figsize=(WIDTH, height + 0.6), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, NO_PANELS, transform=axes.transAxes, ha="center", va="center", color=NOTE)
    return figure


def _legend_columns(labels: list[str]) -> int:
    """Return in how many columns, four at most, the legend is no wider than the figure."""
    size = STYLE["font.size"]
    widths = [TextPath((0, 0), label, size=size).get_extents().width + 5 * size for label in labels]  # mark and gaps
    for most in (4, 3, 2):
        columns = -(-len(labels) // -(-len(labels) // most))
        if sum(max(own) for own in np.array_split(widths, columns)) < 72 * WIDTH:
            return columns
    return 1


def panel_figure(
    panels: Sequence[Panel | None],
    shape: tuple[int, float],
    labels: tuple[str, str],
    paint: Paint,
    handles: list[Artist],
    sharex: Literal["all", "col"] = "all",
) -> Figure:
    """Lay out the panels, `paint` each, and add notes and the legend. None is a gap.

    shape: columns, inches per row. labels: of the x and the y axes. sharex: which panels have one x axis. Without a
    panel, the figure says that there is nothing to draw.
    """
    if not panels:
        return _nothing(shape[1])
    columns = max(shape[0], 1)
    panels = [*panels, *[None] * (-len(panels) % columns)]
    figure = _figure(len(panels) // columns * shape[1], handles)
    grid = figure.subplots(len(panels) // columns, columns, sharex=sharex, sharey="row", squeeze=False)
    notes = _notes(panels, columns)
    pad = 3 + 7.5 * max(len(text.splitlines()) for text in notes)
    beside = [panels[place - 1] if place % columns else None for place in range(len(panels))]
    under = [*panels[columns:], *[None] * columns]
    for axes, panel, left, below, text in zip(grid.flat, panels, beside, under, notes, strict=True):
        if panel is None:
            axes.set_visible(False)
            continue
        axes.set_title(textwrap.fill(panel.title, 76 // columns), pad=pad)
        axes.annotate(text, (0, 1), (0, 2), "axes fraction", "offset points", color=NOTE, size=6)
        paint(axes, panel.frame)
        if not panel.frame["value"].notna().any():
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=NOTE)
        xlabel = textwrap.fill(panel.xlabel or labels[0], 80 // columns)
        _label(axes, (xlabel, panel.ylabel or labels[1]), first=left is None, last=below is None)
    if all(panel.frame["value"].isna().all() for panel in panels if panel):
        grid[0, 0].set_ylim(0, 105)
    return figure


def _figure(height: float, handles: list[Artist]) -> Figure:
    """Return an empty figure with its legend. height: of its panels, inches."""
    columns = _legend_columns([str(own.get_label()) for own in handles])
    rest = 0.6 + 0.16 * max(-(-len(handles) // columns) - 2, 0)  # a legend of two rows needs no more
    figure = Figure(figsize=(WIDTH, height + rest), layout="constrained")
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


def _label(axes: Axes, labels: tuple[str, str], first: bool, last: bool) -> None:
    """Label the x axis of the last panel of a column, and the y axis of the first of a row, which seaborn may hide."""
    axes.label_outer()
    axes.set_xlabel(labels[0] if last else "", visible=True)
    axes.set_ylabel(labels[1] if first else "", visible=True)
    axes.tick_params(labelbottom=last, labelleft=first)


def same_scale(panels: list[Axes]) -> None:
    """Give the panels of one measure the same y axis, so that curves can be read across."""
    limits = [axes.get_ylim() for axes in panels if axes.has_data()]
    if limits:
        panels[0].set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        for axes in panels[1:]:
            axes.set_ylim(panels[0].get_ylim())
