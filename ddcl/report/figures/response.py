"""Response curves: accuracy and drift of the features against the strength of one distortion."""

from __future__ import annotations

from functools import partial
from itertools import product

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, MultipleLocator

from ddcl.report.collected import Collected
from ddcl.report.figures.layout import BAND, PARTS, FigureStyle, Panel, panel_figure
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


def response(found: Collected, family: str) -> Figure:
    """Accuracy (above) and drift (below) of each part against the strength, one column per augmentation."""
    style = FigureStyle(found.plan)
    frame = under(found, family)
    evaluation = chosen_evaluation(found, frame)
    accuracy = frame[(frame["metric"] == TOP1) & (frame["evaluation"] == evaluation)]
    measures = {f"{style.label('evaluation', evaluation)} top-1 (%)": accuracy.assign(value=accuracy["value"] * 100)}
    measures[found.plan.heading(DRIFT.name)] = frame[frame["metric"] == DRIFT.name]
    parts = [part for part in PARTS if any(part in run.parts for run in style.runs)]
    panels: list[Panel | None] = []
    for dataset, (ylabel, values), part in product(style.datasets, measures.items(), parts):
        for augmentation in style.augmentations:
            title = [style.label("augmentation", augmentation), part if part == "full" else part.upper()]
            panel = style.panel(values[values["part"] == part], dataset, title, augmentation=augmentation)
            panels.append(panel._replace(ylabel=ylabel))
    handles = [*style.lines(), Patch(color=BAND, label="range of seeds")]
    shape = (len(style.augmentations), 1.45)
    figure = panel_figure(panels, shape, (STRENGTHS[family], ""), partial(paint, style=style, family=family), handles)
    n_rows = len(parts) * len(style.augmentations)
    for start in range(0, len(panels), max(n_rows, 1)):
        same_scale(figure.axes[start : start + n_rows])
    return figure


def same_scale(panels: list[Axes]) -> None:
    """Give the panels of one measure the same y axis, so that curves can be read across."""
    limits = [axes.get_ylim() for axes in panels if axes.has_data()]
    if limits:
        panels[0].set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        for axes in panels[1:]:
            axes.set_ylim(panels[0].get_ylim())


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
    axes.xaxis.set_major_locator(MultipleLocator(DEGREES_STEP) if family == "rotation" else MaxNLocator(4))


rotation = partial(response, family="rotation")
elastic = partial(response, family="elastic_strength")
jitter = partial(response, family="jitter_strength")
