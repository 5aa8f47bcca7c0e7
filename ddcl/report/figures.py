"""Figures: each is drawn from the collected frames and the plan alone, and says in the panel what is missing."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ddcl.core.files import write_atomic

CLEAN, FULL = "none", "full"
RUN = ["dataset", "variant", "augmentation", "seed"]
WIDTH = 6.0  # inches: 900 pixels at 150 dpi, and the text width of a paper
# Okabe-Ito without its yellow; the first four are not the colours of the parts.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PARTS = {"full": "#555555", "dir": "#56B4E9", "dvr": "#E69F00"}
MARKS = {"collapsed": "†", "diverged": "‡"}  # as in the tables
FLOOR, INK, NOTE = "#999999", "#222222", "#555555"
STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 7.0, "legend.frameon": False, "pdf.fonttype": 42}
STYLE |= {"axes.titlesize": 7.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.linewidth": 0.6}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "lines.markersize": 3.8}
STYLE |= {"axes.grid": True, "axes.grid.axis": "y", "grid.color": "#E4E4E4", "grid.linewidth": 0.5}
STYLE |= {"xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 1.3}
SEED: dict[str, Any] = {"s": 5, "linewidth": 0.5, "zorder": 4}
Axis = tuple[str, dict[str, str]]
Paint = Callable[[Axes, pd.DataFrame], None]
Draw = Callable[[pd.DataFrame, pd.DataFrame, dict[str, Any]], Figure]


class Panel(NamedTuple):
    """What one panel shows: its rows (column `value` in percent) and the runs that they should come from."""

    title: str
    frame: pd.DataFrame
    runs: list[tuple[Any, ...]]


class Look:
    """The names of a suite in its order, their labels, and the fixed colour and marker of each variant."""

    def __init__(self, suite: dict[str, Any]) -> None:
        self.suite = suite
        shown = {key: suite.get(f"figure_{key}s") for key in ("variant", "augmentation")}
        self.runs = runs = [
            run
            for run in suite["runs"]
            if not run["trains"] or all(names is None or run[key] in names for key, names in shown.items())
        ]
        self.datasets = list(dict.fromkeys(run["dataset"] for run in runs))
        self.variants = list(dict.fromkeys(run["variant"] for run in runs if run["trains"]))
        self.floors = list(dict.fromkeys(run["variant"] for run in runs if not run["trains"]))
        self.augmentations = list(dict.fromkeys(run["augmentation"] for run in runs if run["trains"]))
        self.colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(self.variants)}
        self.colour |= dict.fromkeys(self.floors, FLOOR)
        self.marker = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(self.variants)}

    def label(self, key: str, name: str) -> str:
        """Return how `name` is printed."""
        return str(self.suite["labels"].get(key, {}).get(name, name))

    def labels(self, key: str, names: Iterable[str]) -> dict[str, str]:
        """Return how each of `names` is printed."""
        return {name: self.label(key, name) for name in names}

    def evaluation(self, preferred: str) -> str:
        """Return `preferred` if the suite has it, else the suite's first evaluation."""
        return preferred if preferred in self.suite["evaluations"] else str(self.suite["evaluations"][0])

    def panel(self, frame: pd.DataFrame, dataset: str, title: list[str], **only: str) -> Panel:
        """Return the panel of the trained runs with the values `only`, and of the untrained runs."""
        keys = [
            tuple(run[key] for key in RUN)
            for run in self.runs
            if run["dataset"] == dataset
            if not run["trains"] or all(run[key] == name for key, name in only.items())
        ]
        title = [self.label("dataset", dataset), *title] if len(self.datasets) > 1 else title
        return Panel(" · ".join(title), frame[pd.MultiIndex.from_frame(frame[RUN]).isin(keys)], keys)

    def by_augmentation(self, frame: pd.DataFrame) -> list[Panel]:
        """Return one panel per dataset and augmentation of the training."""
        places = product(self.datasets, self.labels("augmentation", self.augmentations).items())
        return [self.panel(frame, dataset, [label], augmentation=name) for dataset, (name, label) in places]

    def lines(self) -> list[Artist]:
        """Return the legend of a figure whose variants are lines."""
        styles = {name: {"marker": marker} for name, marker in self.marker.items()}
        styles |= {name: {"linestyle": "--"} for name in self.floors}
        names = {name: {"color": self.colour[name], "label": self.label("variant", name)} for name in styles}
        return [Line2D([], [], **names[name], **style) for name, style in styles.items()]  # type: ignore[arg-type]


def write_figure(figure: Figure, stem: Path) -> None:
    """Write `stem`.png (150 dpi) and `stem`.pdf without dates or versions, so the same figure gives the same bytes."""
    empty = {"png": {"Software": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}
    with rc_context(STYLE):
        for suffix, metadata in empty.items():
            save = partial(figure.savefig, format=suffix, dpi=150, metadata=metadata)
            write_atomic(stem.with_name(f"{stem.name}.{suffix}"), save)
    figure.clear()


def _select(records: pd.DataFrame, **keys: str) -> pd.DataFrame:
    """Return the top-1 rows with these values, tested on the dataset that they were trained on; values in percent."""
    chosen = records[(records["metric"] == "top1") & (records["eval_dataset"] == records["dataset"])]
    for key, name in keys.items():
        chosen = chosen[chosen[key] == name]
    return chosen.assign(value=chosen["value"] * 100)


def _dots(label: str, colour: str = "white") -> Line2D:
    """Return the legend of the dots."""
    return Line2D([], [], linewidth=0, marker="o", markersize=2.8, color=colour, markeredgecolor=NOTE, label=label)


def _note(panel: Panel) -> str:
    """Return how many of the expected runs are not whole: ``2 of 24 runs missing``."""
    status: dict[Any, str] = dict.fromkeys(panel.runs, "missing")
    for run, rows in panel.frame.groupby(RUN):
        unmeasured = ["missing"] if rows["value"].isna().any() else []
        status[run] = [*(name for name in rows["status"] if name != "ok"), *unmeasured, "ok"][0]
    found = sorted(Counter(name for name in status.values() if name != "ok").items())
    return ", ".join(f"{MARKS.get(name, '')} {count} of {len(status)} runs {name}".lstrip() for name, count in found)


def _figure(
    panels: Sequence[Panel | None],
    shape: tuple[int, float],
    labels: tuple[str, str],
    paint: Paint,
    handles: list[Artist],
) -> Figure:
    """Lay out the panels, `paint` each, and add notes and the legend. None is a gap. shape: columns, inches per row."""
    columns = max(shape[0], 1)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH, rows * shape[1] + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
    # 96 characters fit beside each other; no line ends within "2 of 24 runs missing".
    notes = [_note(panel).replace(" ", "\0").replace(",\0", ", ") if panel else "" for panel in panels]
    notes = [textwrap.fill(note, 96 // columns).replace("\0", " ") for note in notes]
    pad = 3 + 7.5 * max(len(note.splitlines()) for note in notes)
    for axes, panel, below, note in zip(grid.flat, panels, [*panels[columns:], *[None] * columns], notes, strict=True):
        if panel is None:
            axes.set_visible(False)
            continue
        axes.set_title(textwrap.fill(panel.title, 84 // columns), pad=pad)
        axes.annotate(note, (0, 1), (0, 2), "axes fraction", "offset points", color=NOTE, size=6)
        paint(axes, panel.frame)
        if not panel.frame["value"].notna().any():
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=NOTE)
        axes.set_ylabel(labels[1])
        axes.label_outer()
        if below is None:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(textwrap.fill(labels[0], 80 // columns))
    if all(panel.frame["value"].isna().all() for panel in panels if panel):
        grid[0, 0].set_ylim(0, 105)
    lines = -(-len(handles) // 4)
    figure.legend(handles=handles, loc="outside lower center", ncols=-(-len(handles) // lines))
    return figure


def _floor(axes: Axes, frame: pd.DataFrame, look: Look) -> None:
    """Draw the mean of the untrained encoders as a dashed line."""
    values = frame.loc[frame["variant"].isin(look.floors), "value"]
    if values.notna().any():
        axes.axhline(values.mean(), color=FLOOR, linestyle="--", linewidth=1.1, zorder=1.5)


def _bars(axes: Axes, frame: pd.DataFrame, group: Axis, bar: Axis) -> None:
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


def _curves(axes: Axes, frame: pd.DataFrame, look: Look) -> None:
    """Draw mean and range of each variant's seeds, without diverged ones: a mean that loses a seed midway jumps.

    A collapsed run is dotted beside the mean that it is part of, a diverged one up to its end.
    """
    for place, variant in enumerate(look.variants):
        runs, colour = frame[(frame["variant"] == variant) & frame["value"].notna()], look.colour[variant]
        seeds = runs[runs["status"] != "diverged"].groupby("epoch")["value"].agg(["mean", "min", "max"])
        every = max(len(seeds) // 5, 1)
        axes.fill_between(seeds.index, seeds["min"], seeds["max"], color=colour, alpha=0.18, linewidth=0)
        axes.plot(seeds["mean"], color=colour, marker=look.marker[variant], markevery=(place % every, every))
        for (_, status), run in runs[runs["status"].isin(MARKS)].groupby(["seed", "status"]):
            axes.plot(run["epoch"], run["value"], color=colour, linestyle=":", linewidth=0.9)
            end = (run["epoch"].iloc[-1], run["value"].iloc[-1])
            axes.annotate(MARKS[status], end, (2, 0), textcoords="offset points", va="center", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    _floor(axes, frame, look)


def _trends(axes: Axes, frame: pd.DataFrame, look: Look) -> None:
    """Draw each variant's mean against the augmentation, hollow with † if a seed collapsed, and a dot per seed."""
    order = {name: index for index, name in enumerate(look.augmentations)}
    for place, variant in enumerate(look.variants):
        shift = 0.13 * (place - (len(look.variants) - 1) / 2)
        runs, colour = frame[frame["variant"] == variant], look.colour[variant]
        line = partial(axes.plot, color=colour, marker=look.marker[variant])
        means = runs.groupby("augmentation")["value"].mean().reindex(list(order))
        line(np.arange(len(order)) + shift, means)
        axes.scatter(runs["augmentation"].map(order) + shift + 0.05, runs["value"], color=colour, **SEED)
        for name in dict.fromkeys(runs.loc[runs["status"] == "collapsed", "augmentation"]):
            line(order[name] + shift, means[name], markerfacecolor="white")
            axes.annotate("†", (order[name] + shift, means[name]), (-7, -3), textcoords="offset points", color=INK)
    _floor(axes, frame, look)
    axes.set_xticks(range(len(order)), [look.label("augmentation", name) for name in order])
    axes.set_xlim(-0.5, len(order) - 0.5)


def knn_curves(records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any]) -> Figure:
    """kNN accuracy against epoch, one panel per augmentation of the training."""
    look, monitored = Look(suite), histories.reindex(columns=[*RUN, "epoch", "knn_top1"]).dropna()
    monitored = monitored[(monitored["epoch"] == 0) | ~monitored["variant"].isin(look.floors)]
    frame = records.groupby(RUN, as_index=False)["status"].first().merge(monitored, on=RUN, how="left")
    frame = frame.astype({"knn_top1": float, "epoch": float}).assign(value=lambda rows: rows["knn_top1"] * 100)
    shape, labels = (len(look.augmentations), 2.2), ("Epoch", "kNN top-1 (%)")
    handles = [*look.lines(), Patch(color="#BBBBBB", label="range of seeds")]
    return _figure(look.by_augmentation(frame), shape, labels, partial(_curves, look=look), handles)


def robustness(records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any]) -> Figure:
    """Linear accuracy under each perturbation of the test images, one panel per augmentation of the training."""
    look = Look(suite)
    evaluation = look.evaluation("linear")
    frame = _select(records, evaluation=evaluation, part=FULL)
    single = [name for name in suite["perturbations"] if "." not in name]  # a family has a table
    group = ("perturbation", look.labels("perturbation", single))
    paint = partial(_bars, group=group, bar=("variant", look.colour))
    labels = ("Perturbation of the test images", f"Top-1 (%), {look.label('evaluation', evaluation)}")
    handles = [Patch(color=colour, label=look.label("variant", name)) for name, colour in look.colour.items()]
    return _figure(look.by_augmentation(frame), (1, 1.5), labels, paint, [*handles, _dots("seeds, ± sd")])


def augmentation(records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any]) -> Figure:
    """Accuracy on clean images against the augmentation of the training, one panel per evaluation."""
    look, frame = Look(suite), _select(records, perturbation=CLEAN, part=FULL)
    rows = []
    for dataset in look.datasets:
        targets = [each for run in look.runs if run["dataset"] == dataset for each in run["targets"]]
        own = {each["evaluation"] for each in targets if each["eval_dataset"] == dataset}
        evaluations = look.labels("evaluation", [name for name in suite["evaluations"] if name in own])
        rows.append(
            [look.panel(frame[frame["evaluation"] == name], dataset, [label]) for name, label in evaluations.items()]
        )
    columns = min(max(map(len, rows)), 4)
    panels = [panel for row in rows for panel in [*row, *[None] * (-len(row) % columns)]]  # a data set has its own rows
    labels = ("Augmentation of the training", "Top-1 on clean images (%)")
    handles = [*look.lines(), _dots("seeds", "#666666")]
    return _figure(panels, (columns, 2.3), labels, partial(_trends, look=look), handles)


def parts(records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any]) -> Figure:
    """kNN accuracy of the whole features and of their parts, on clean and on rotated images."""
    look = Look(suite)
    evaluation = look.evaluation("knn")
    frame, known = _select(records, evaluation=evaluation), suite["perturbations"]
    frame = frame[frame["part"].isin(list(PARTS))]  # no random columns
    columns = [CLEAN, "color_rotate"] if {CLEAN, "color_rotate"} <= set(known) else known[:2]
    split = dict.fromkeys(run["variant"] for run in look.runs if len(run["parts"]) > 1)
    panels = []
    for dataset, variant, name in product(look.datasets, split, columns):
        title = [look.label("variant", variant), look.label("perturbation", name)]
        panels.append(look.panel(frame[frame["perturbation"] == name], dataset, title, variant=variant))
    group = ("augmentation", look.labels("augmentation", look.augmentations))

    def paint(axes: Axes, shown: pd.DataFrame) -> None:
        _bars(axes, shown[~shown["variant"].isin(look.floors)], group, ("part", PARTS))
        _floor(axes, shown, look)

    bars = [Patch(color=colour, label=name if name == FULL else name.upper()) for name, colour in PARTS.items()]
    handles = [*bars, *look.lines()[len(look.variants) :], _dots("seeds, ± sd")]
    labels = ("Augmentation of the training", f"Top-1 (%), {look.label('evaluation', evaluation)}")
    if not panels:
        panels, columns = [Panel("", frame.iloc[:0], [])], columns[:1]
    return _figure(panels, (len(columns), 1.8), labels, paint, handles)


def _styled(draw: Draw, records: pd.DataFrame, histories: pd.DataFrame, suite: dict[str, Any]) -> Figure:
    """Draw in the common style, without changing matplotlib's global state."""
    with rc_context(STYLE):
        return draw(records, histories, suite)


FIGURES: dict[str, Draw] = {f.__name__: partial(_styled, f) for f in (knn_curves, robustness, augmentation, parts)}
