"""Figures of differences: each method minus the one that it is set against, paired by seed, with 95 % intervals."""

from __future__ import annotations

import textwrap
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ddcl.plan.plan import Plan
from ddcl.report.collected import Collected
from ddcl.report.figures.accuracy import parts_panels, split
from ddcl.report.figures.layout import (
    FULL,
    INK,
    LOOKS,
    NOTE,
    PART_NAMES,
    PARTS,
    SEED,
    FigureStyle,
    Panel,
    dots,
    panel_figure,
    select,
)
from ddcl.report.figures.painters import Hue
from ddcl.report.figures.svg import tell
from ddcl.report.multiplicity import FEWEST_SEEDS
from ddcl.report.numbers import signed
from ddcl.report.tables.convergence import trained
from ddcl.report.tables.differences import INVARIANT, WHOLE
from ddcl.report.tables.statistics import Paired, paired_t
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import TOP1
from ddcl.schema.tables import RUN

INTERVAL = "95 % interval over seeds"
PLACE = {*RUN, "part", "evaluation", "eval_dataset", "perturbation", "metric", "epoch"}  # what tells rows of runs apart
STEP = 0.16  # between neighbours, in units of the x axis


class Marked(NamedTuple):
    """What has marks of its own: a column, and by its values how they are drawn and called."""

    column: str
    looks: dict[str, dict[str, Any]]
    words: dict[str, str]

    @property
    def legend(self) -> list[Artist]:
        """The legend of the marks."""
        return [Line2D([], [], label=self.words[name], **look) for name, look in self.looks.items()]


class Unit(NamedTuple):
    """What differences are told in. places: decimals."""

    name: str
    places: int


POINTS = Unit("points", 1)


def paired(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return one row per row of `frame` whose run has a baseline: `value` minus the baseline's, of the same seed.

    frame: `RUN`, `value`, `status`, and those of `PLACE` that tell its rows apart. A pair that lacks one has no value.
    DIR is set against the whole features of a baseline without parts.
    """
    baselines = {run.names: run.baseline for run in plan.runs if run.baseline}
    keys = [name for name in frame.columns if name in PLACE]
    names = frame[RUN].itertuples(index=False, name=None)
    own = frame.assign(baseline=pd.Series([baselines.get(each, "") for each in names], frame.index, object))
    own = own[own["baseline"] != ""]
    if "part" in keys:
        whole = [run.names for run in plan.runs if len(run.parts) == 1]
        alone = pd.MultiIndex.from_frame(frame[RUN]).isin(whole) & (frame["part"] == WHOLE)
        frame = pd.concat([frame, frame[alone].assign(part=INVARIANT)])
    other = frame.rename(columns={"variant": "baseline", "value": "control", "status": "other"})
    on = ["baseline" if name == "variant" else name for name in keys]
    found = own.merge(other[[*on, "control", "other"]], on=on, how="inner")
    found["status"] = found["status"].where(found["status"] != "ok", found["other"])
    return found.assign(value=found["value"] - found["control"])


def robustness(found: Collected) -> Figure:
    """Differences of linear accuracy under each perturbation of the test images, one panel per augmentation."""
    style = FigureStyle(found.plan)
    evaluation = style.evaluation("linear")
    single = [name for name in found.plan.perturbations if name not in found.plan.families]
    places = style.labels("perturbation", single)
    frame = paired(select(found.records, evaluation=evaluation, part=FULL), found.plan)
    frame = frame.assign(x=frame["perturbation"].map({name: place for place, name in enumerate(places)}))
    labels = ("Perturbation of the test images", f"Points of top-1, {style.label('evaluation', evaluation)}")
    panels = style.by_augmentation(frame)
    return dot_figure(panels, (1, 1.5), labels, list(places.values()), methods(style, together(panels)))


def augmentation(found: Collected) -> Figure:
    """Differences of accuracy on clean images after each augmentation, one panel per evaluation."""
    style = FigureStyle(found.plan)
    frame = paired(select(found.records, perturbation=CLEAN, part=FULL), found.plan)
    places = style.labels("augmentation", style.augmentations)
    frame = frame.assign(x=frame["augmentation"].map({name: place for place, name in enumerate(places)}))
    panels = []
    for dataset in style.datasets:
        targets = [each for run in style.runs if run.dataset == dataset for each in run.targets]
        own = dict.fromkeys(
            each.evaluation for each in targets if each.eval_dataset == dataset and TOP1 in each.metrics
        )
        for name in own:
            panels.append(style.panel(frame[frame["evaluation"] == name], dataset, [style.label("evaluation", name)]))
    labels = ("Augmentation of the training", "Points of top-1, clean images")
    shape = (min(len(panels), 4), 2.3)
    return dot_figure(panels, shape, labels, list(places.values()), methods(style, together(panels)))


def parts(found: Collected) -> Figure:
    """Differences of kNN accuracy of the whole features and of DIR, a row of panels per method."""
    style = FigureStyle(found.plan)
    evaluation = style.evaluation("knn")
    frame = paired(select(found.records, evaluation=evaluation), found.plan)
    places = style.labels("augmentation", style.augmentations)
    frame = frame.assign(x=frame["augmentation"].map({name: place for place, name in enumerate(places)}))
    titles = {name: pair_of(style, name, frame) for name in split(style) if (frame["variant"] == name).any()}
    panels, columns = parts_panels(style, frame, titles)
    labels = ("Augmentation of the training", f"Points of top-1, {style.label('evaluation', evaluation)}")
    return dot_figure(panels, (columns, 1.8), labels, list(places.values()), of_parts(together(panels)))


def knn_curves(found: Collected) -> Figure:
    """Differences of kNN accuracy against the epoch, one panel per augmentation and pair of methods."""
    style = FigureStyle(found.plan)
    frame = found.histories.reindex(columns=[*RUN, "epoch", "knn_top1"]).dropna()
    frame = frame.merge(trained(found.records), on=RUN).assign(value=lambda rows: 100 * rows["knn_top1"].astype(float))
    own = paired(frame.drop(columns="knn_top1").astype({"epoch": float}), found.plan)
    marked = methods(style, own)
    names = list(marked.looks)
    panels = [
        panel._replace(
            title=f"{panel.title} · {marked.words[variant]}", frame=panel.frame[panel.frame["variant"] == variant]
        )
        for panel, variant in product(style.by_augmentation(own), names)
    ]
    panels = [panel for panel in panels if len(panel.frame)]
    columns = len(names) * (1 if len(names) > 2 else len(style.augmentations))
    figure = panel_figure(
        panels, (min(columns, 4), 1.9), ("Epoch", "Points of kNN top-1"), partial(curve, marked=marked), legend(marked)
    )
    return counted(figure, own)


def methods(style: FigureStyle, frame: pd.DataFrame) -> Marked:
    """Return the marks of the variants that are set against another one, main arms before their ablations.

    frame: what `paired` gives.
    """
    names = [name for name in style.variants if (frame["variant"] == name).any()]
    words = {name: pair_of(style, name, frame) for name in names}
    return Marked("variant", {name: style.line(name) for name in names}, words)


def of_parts(frame: pd.DataFrame) -> Marked:
    """Return the marks of the parts of the features that there are differences of. frame: what `paired` gives."""
    names = [name for name in PARTS if (frame["part"] == name).any()]
    return Marked("part", {name: LOOKS[name] for name in names}, {name: PART_NAMES[name] for name in names})


def together(panels: list[Panel]) -> pd.DataFrame:
    """Return the rows of all panels."""
    return pd.concat([panel.frame for panel in panels]) if panels else pd.DataFrame(columns=["variant", "part"])


def pair_of(style: FigureStyle, variant: str, frame: pd.DataFrame) -> str:
    """Return what a variant's differences are: ``DDCL − SimSiam``. frame: what `paired` gives."""
    baseline = str(frame.loc[frame["variant"] == variant, "baseline"].iloc[0])
    return f"{style.label('variant', variant)} − {style.label('variant', baseline)}"


def legend(marked: Marked) -> list[Artist]:
    """Return the legend of a figure of `curve`s."""
    seeds = Line2D([], [], color=NOTE, linewidth=0.5, label="each seed")
    return [*marked.legend, seeds, Line2D([], [], color=NOTE, alpha=0.25, linewidth=5, label=INTERVAL)]


def dot_figure(
    panels: list[Panel], shape: tuple[int, float], labels: tuple[str, str], ticks: list[str], marked: Marked
) -> Figure:
    """Lay out panels with a mark, an interval and a dot per seed at each place `x`. ticks: of the places 0, 1, …."""
    hue = Hue(marked.column, marked.looks, STEP, 0.03)
    handles = [*marked.legend, Line2D([], [], color=NOTE, label=INTERVAL), dots("seeds", NOTE)]
    paint = partial(_dots, hue=hue, ticks=ticks, words=marked.words)
    figure = panel_figure(panels if marked.looks else [], shape, labels, paint, handles)
    return counted(figure, together(panels))


def _dots(axes: Axes, frame: pd.DataFrame, hue: Hue, ticks: list[str], words: dict[str, str]) -> None:
    """Draw mean, interval and seeds of each difference; † where a seed did not end well."""
    axes.axhline(0, color=NOTE, linewidth=0.7, zorder=1)
    for (name, place), cell in frame.dropna(subset=["x", "value"]).groupby([hue.column, "x"], sort=False):
        if str(name) not in hue.looks:
            continue
        at = int(str(place).partition(".")[0])
        values, x = cell["value"].to_numpy(float), at + hue.shift[str(name)]
        found, look = _mean(values), hue.looks[str(name)]
        if not np.isnan(found.low):
            thick = {"color": look["color"], "linestyle": look.get("linestyle", "-"), "linewidth": 2.2, "alpha": 0.5}
            axes.plot([x, x], [found.low, found.high], zorder=2, **thick)
        axes.scatter(np.full(len(values), x + hue.dots), values, color=NOTE, **SEED)
        (drawn,) = axes.plot(x, found.effect, zorder=3, **look | {"linestyle": ""})
        tell(drawn, f"{words[str(name)]}, {ticks[at]}: {_said(values)}")
        if (cell["status"] != "ok").any():
            axes.annotate("†", (x, found.effect), (-7, -3), textcoords="offset points")
    axes.set_xticks(range(len(ticks)), [textwrap.fill(text, max(90 // len(ticks), 8)) for text in ticks])
    axes.set_xlim(-0.5, max(len(ticks), 1) - 0.5)


def curve(axes: Axes, frame: pd.DataFrame, marked: Marked, x: str = "epoch", unit: Unit = POINTS) -> None:
    """Draw mean, interval and seeds of each variant's differences against the column `x`; † as in `_dots`."""
    axes.axhline(0, color=NOTE, linewidth=0.7, zorder=1)
    for name, own in frame.dropna(subset=["value"]).groupby("variant", sort=False):
        line = marked.looks[str(name)]
        for _, seed in own.groupby("seed"):
            axes.plot(seed[x], seed["value"], color=line["color"], linewidth=0.4, alpha=0.7)
            if (seed["status"] != "ok").any():
                end = (seed[x].iloc[-1], seed["value"].iloc[-1])
                axes.annotate("†", end, (2, 0), textcoords="offset points", va="center", color=INK)
        wide = own.pivot_table(index=x, columns="seed", values="value").dropna()
        rows = [_mean(values) for values in wide.to_numpy(float)]
        if wide.shape[1] >= FEWEST_SEEDS:
            low, high = [each.low for each in rows], [each.high for each in rows]
            axes.fill_between(wide.index, low, high, color=line["color"], alpha=0.18, linewidth=0)
        every = max(len(wide) // 5, 1)
        (drawn,) = axes.plot(wide.index, [each.effect for each in rows], **line | {"markevery": every})
        if len(wide):
            tell(drawn, f"{marked.words[str(name)]}: {_said(wide.to_numpy(float)[-1], unit)} at the end")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def _mean(values: Any) -> Paired:
    """Return the mean of differences [n] with its interval, which is NaN for too few seeds, and without a spread."""
    found = paired_t(list(values), [0.0] * len(values))
    return found if found.n >= FEWEST_SEEDS else found._replace(low=np.nan, high=np.nan)


def _said(values: Any, unit: Unit = POINTS) -> str:
    """Return a mean difference with its interval and seeds: ``+0.4 (−0.1 to +0.9) points; seeds +0.3, +0.5``."""
    found = _mean(values)
    effect, low, high = (signed(value, unit.places) for value in (found.effect, found.low, found.high))
    between = "" if np.isnan(found.low) else f" ({low} to {high})"
    seeds = ", ".join(signed(value, unit.places) for value in values)
    return f"{effect}{between} {unit.name}; seeds {seeds}"


def counted(figure: Figure, frame: pd.DataFrame) -> Figure:
    """Write above a figure how many of its intervals leave 0 out, and how many would by chance alone."""
    above = below = total = 0
    shown = frame.dropna(subset=["value"]) if "value" in frame else frame
    places = [key for key in (*PLACE - {"seed"}, "x") if key in shown]
    for _, cell in shown.groupby(places, sort=False):
        found = _mean(cell["value"])
        if not np.isnan(found.low):
            total, above, below = total + 1, above + (found.low > 0), below + (found.high < 0)
    if total:
        outside = f"{above} have a 95 % interval above 0 and {below} below"
        text = f"Of {total} differences, {outside}; by chance alone {0.05 * total:.1f} would."
        figure.suptitle(text, x=0.01, ha="left", size=7)
    return figure
