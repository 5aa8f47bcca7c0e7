"""Response curves: accuracy and drift of the features against the strength of one distortion."""

from __future__ import annotations

from functools import partial
from itertools import product

import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, MultipleLocator

from ddcl.report.collected import Collected
from ddcl.report.figures.differences import POINTS, Unit, counted, curve, legend, methods, paired
from ddcl.report.figures.layout import BAND, PART_NAMES, PARTS, FigureStyle, Paint, Panel, panel_figure, same_scale
from ddcl.report.figures.painters import curves
from ddcl.schema.metrics import DRIFT
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import TOP1

STRENGTHS = {  # family of perturbations: label of the x axis
    "rotation": "Rotation of the test image (degrees)",
    "elastic_strength": "Strength of the elastic deformation (1: CAug+)",
    "jitter_strength": "Strength of the colour jitter (1: that of training)",
}
DEGREES_STEP = 90
DRIFTS = Unit("of the drift", 3)


def response(found: Collected, family: str) -> Figure:
    """Accuracy (above) and drift (below) of each part against the strength, one column per augmentation."""
    style = FigureStyle(found.plan, ablations=False)
    evaluation, accuracy, drift = _measures(found, family)
    measures = {f"{evaluation} top-1 (%)": accuracy, found.plan.heading(DRIFT.name): drift}
    parts = [part for part in PARTS if any(part in run.parts for run in style.runs)]
    handles = [*style.lines(), Patch(color=BAND, label="range of seeds")]
    return _figure(style, (measures, parts), family, partial(paint, style=style, family=family), handles)


def differences(found: Collected, family: str) -> Figure:
    """Differences of accuracy (above) and drift (below) of each part against the strength, laid out like `response`."""
    style = FigureStyle(found.plan, ablations=False)
    evaluation, *frames = _measures(found, family)
    accuracy, drift = (paired(frame, found.plan) for frame in frames)
    own = pd.concat([accuracy, drift])
    own = own[own["part"].isin(list(PARTS)) & own["variant"].isin(style.variants)]
    marked = methods(style, own)
    parts = [part for part in PARTS if (own["part"] == part).any()]

    def paint(axes: Axes, frame: pd.DataFrame) -> None:
        drifts = bool((frame["metric"] == DRIFT.name).any())
        curve(axes, frame, marked, "strength", DRIFTS if drifts else POINTS)
        strengths(axes, family)

    measures = {f"Points of {evaluation} top-1": accuracy, f"{found.plan.heading(DRIFT.name)}, difference": drift}
    figure = _figure(style, (measures, parts), family, paint, legend(marked))
    return counted(figure, own[own["strength"] != 0])


def _measures(found: Collected, family: str) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Return the label of the evaluation whose accuracy is shown, accuracies in percent, and drifts."""
    frame = under(found, family)
    evaluation = chosen_evaluation(found, frame)
    accuracy = frame[(frame["metric"] == TOP1) & (frame["evaluation"] == evaluation)]
    drift = frame[frame["metric"] == DRIFT.name]
    return found.plan.label("evaluation", evaluation), accuracy.assign(value=accuracy["value"] * 100), drift


def _figure(
    style: FigureStyle,
    shown: tuple[dict[str, pd.DataFrame], list[str]],
    family: str,
    paint: Paint,
    handles: list[Artist],
) -> Figure:
    """Lay out a row of panels for each measure and part, a column per augmentation. shown: measures, parts."""
    measures, parts = shown
    panels: list[Panel | None] = []
    for dataset, (ylabel, values), part in product(style.datasets, measures.items(), parts):
        for augmentation in style.augmentations:
            title = [style.label("augmentation", augmentation), PART_NAMES[part]]
            panel = style.panel(values[values["part"] == part], dataset, title, augmentation=augmentation)
            panels.append(panel._replace(ylabel=ylabel))
    figure = panel_figure(panels, (len(style.augmentations), 1.45), (STRENGTHS[family], ""), paint, handles)
    n_rows = len(parts) * len(style.augmentations)
    for start in range(0, len(panels), max(n_rows, 1)):
        same_scale(figure.axes[start : start + n_rows])
    return figure


def under(found: Collected, family: str) -> pd.DataFrame:
    """Return the rows on the data set of training under the members of a family, with their `strength`.

    Clean images are those of strength 0, unless the family has a member for it.
    """
    records, strengths = found.records, {CLEAN: 0.0}
    members = (name for name, own in found.plan.families.items() if own == family)
    strengths |= {name: found.plan.strengths[name] for name in members}
    own = records[(records["eval_dataset"] == records["dataset"]) & records["perturbation"].isin(list(strengths))]
    own = own.assign(strength=own["perturbation"].map(strengths))
    member = own["perturbation"] != CLEAN
    return own[member] if (own.loc[member, "strength"] == 0).any() else own


def chosen_evaluation(found: Collected, frame: pd.DataFrame) -> str:
    """Return the evaluation whose accuracy is shown: a kNN that was made under the family, else another one."""
    made = set(frame.loc[(frame["perturbation"] != CLEAN) & (frame["metric"] == TOP1), "evaluation"])
    names = [name for name in found.plan.evaluations if name in made] or list(found.plan.evaluations)
    knn = [name for name in names if found.plan.evaluations[name].protocol == "knn"]
    return str([*knn, *names][0])


def paint(axes: Axes, frame: pd.DataFrame, style: FigureStyle, family: str) -> None:
    """Draw mean and range of each method; the untrained encoder is a dashed line."""
    untrained = frame["variant"].isin(style.floors)
    curves(axes, frame[~untrained], style, ("strength", "strength"))
    for name in style.floors:
        line = style.line(name) | {"linewidth": 1.1, "zorder": 1.5, "marker": ""}
        sns.lineplot(frame[frame["variant"] == name], x="strength", y="value", errorbar=None, ax=axes, **line)
    strengths(axes, family)


def strengths(axes: Axes, family: str) -> None:
    """Set the ticks of the strengths of a family."""
    axes.xaxis.set_major_locator(MultipleLocator(DEGREES_STEP) if family == "rotation" else MaxNLocator(4))
