"""Figures of curves with more variants than one panel can show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ddcl.plan.suite import Suite
from ddcl.report.collected import Collected
from ddcl.report.figures import registry
from ddcl.report.figures.layout import MOST_LINES
from tests.unit import made_up

RIVALS = [
    "ddcl",
    "augself",
    "simsiam",
    "ddcl_sym",
    "barlow_twins",
    "equimod",
    "simclr",
    "byol",
    "vicreg",
    "cross_entropy",
]
FAMILIES = {
    "CAug · SimSiam": ["DDCL", "AugSelf", "SimSiam"],
    "CAug · Barlow Twins": ["DDCL (symmetric)", "Barlow Twins"],
    "CAug · SimCLR": ["EquiMod", "SimCLR"],
    "CAug · others": ["BYOL", "VICReg", "Cross-entropy (supervised)"],
}


def collected(variants: list[str], after_baug: tuple[str, ...] = ()) -> Collected:
    """Runs of these variants after CAug and of an untrained encoder, all measured: 0.5, at the end of training 0.7."""
    block = {"datasets": ["digits"], "seeds": [0, 1]}
    runs = [block | {"variants": variants, "augmentations": ["caug"]}]
    runs += [block | {"variants": list(after_baug), "augmentations": ["baug"]}] if after_baug else []
    runs += [block | {"variants": ["random_init"], "augmentations": ["none"]}]
    values = {"suite": "t", "title": "t", "description": "t", "evaluations": ["knn", "diagnostics"], "runs": runs}
    values |= {"perturbations": ["none", "rotation"], "random_subsets": {"draws": 10, "dir_frac": 0.8}}
    plan = Suite(values, "t.yaml").plan
    rows = [cell | {"value": 0.5, "n_draws": 1, "sd_draws": None, "code": ""} for _, cell in made_up.cells_of(plan)]
    history = [
        dict(zip(("dataset", "variant", "augmentation", "seed"), run.names, strict=True))
        | {"epoch": epoch, "seconds": 3.0 * epoch, "loss": 1.0, "dir_loss": 1.0, "knn_top1": 0.5 + 0.02 * epoch}
        for run in plan.runs
        for epoch in ((0, 5, 10) if run.trains else (0,))
    ]
    return Collected(plan, pd.DataFrame(rows), pd.DataFrame(history), [], Path("results"))


def told(axes: Axes, found: Collected) -> list[str]:
    """The variants that have a curve, by their colours."""
    labels = {name: found.plan.label("variant", name) for name in dict.fromkeys(run.variant for run in found.plan.runs)}
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    colours = {found.plan.marks[found.plan.methods[name]].light: label for name, label in reversed(labels.items())}
    return [colours[str(line.get_color())] for line in curves]


@pytest.mark.parametrize(
    "name", ["knn_curves", "convergence", "augmentation", "response_rotation", "response_rotation_differences"]
)
def test_ablations_have_no_curves_beside_the_methods(name: str) -> None:
    found = collected(["ddcl", "ddcl_w0", "ddcl_w10", "simsiam"])
    figure, expected = registry.draw(name, found), registry.draw(name, collected(["ddcl", "simsiam"]))
    assert [len(axes.lines) for axes in figure.axes] == [len(axes.lines) for axes in expected.axes]
    legend, other = ([text.get_text() for text in each.legends[0].get_texts()] for each in (figure, expected))
    assert legend == other
    assert not any("λ" in text for text in legend)


def test_ablations_alone_are_drawn() -> None:
    found = collected(["ddcl_w0", "ddcl_w10"])
    (axes,) = registry.draw("knn_curves", found).axes
    assert len([line for line in axes.lines if len(line.get_xdata()) > 2]) == 2


def test_many_methods_have_a_panel_per_family_and_one_scale() -> None:
    assert len(RIVALS) > MOST_LINES
    found = collected(RIVALS)
    figure = registry.draw("knn_curves", found)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert {axes.get_title(loc="left"): told(axes, found) for axes in panels} == FAMILIES
    assert len({axes.get_ylim() for axes in panels}) == 1
    floors = [[line for line in axes.lines if len(line.get_xdata()) == 2] for axes in panels]
    assert [len(each) for each in floors] == [1] * len(panels)  # the untrained encoder, in each


@pytest.mark.parametrize(("name", "marks"), [("augmentation", len(RIVALS)), ("augmentation_differences", 4)])
def test_every_mark_is_within_its_panel(name: str, marks: int) -> None:
    (axes,) = registry.draw(name, collected(RIVALS)).axes
    low, high = axes.get_xlim()
    means = [float(x) for line in axes.lines if line.get_marker() not in ("", "None") for x in line.get_xdata()]
    seeds = [float(x) for dots in axes.collections for x, _ in dots.get_offsets()]
    assert (len(set(means)), len(set(seeds))) == (marks, marks)
    assert all(low < x < high for x in (*means, *seeds))


@pytest.mark.parametrize("name", ["robustness", "robustness_differences", "knn_curves"])
def test_a_long_legend_takes_no_room_from_the_panels(name: str) -> None:
    few, many = (registry.draw(name, collected(own)) for own in (["ddcl", "simsiam"], [*RIVALS, "ddcl_w0", "ddcl_w10"]))
    for figure in (few, many):
        FigureCanvasAgg(figure).draw()
    height = [figure.axes[0].get_position().height * figure.get_figheight() for figure in (few, many)]
    assert height[1] > 0.7 * height[0]


def test_readouts_after_one_augmentation_are_beside_each_other() -> None:
    axes = [each for each in registry.draw("readout", collected(RIVALS)).axes if each.get_visible()]
    assert len(axes) == len(RIVALS)
    assert len({each.get_subplotspec().colspan.start for each in axes}) == 3


@pytest.mark.parametrize("name", ["readout", "knn_curves"])
def test_a_row_is_of_one_method_or_family_and_a_column_of_one_augmentation(name: str) -> None:
    found = collected(RIVALS, ("simsiam", "simclr"))
    axes = registry.draw(name, found).axes
    titles = [each.get_title(loc="left") if each.get_visible() else "" for each in axes]
    columns = [titles[place::2] for place in (0, 1)]
    for label, own in zip(("CAug", "BAug"), columns, strict=True):
        assert all(label in title for title in own if title)
    assert sum(map(bool, columns[0])) == (len(RIVALS) if name == "readout" else len(FAMILIES))
    assert sum(map(bool, columns[1])) == 2


def test_the_readouts_of_a_method_begin_at_the_left_so_that_titles_have_room() -> None:
    axes = registry.draw("readout", collected(["ddcl"], ("ddcl", "simsiam"))).axes
    titles = [each.get_title(loc="left") if each.get_visible() else "" for each in axes]
    assert titles == ["DDCL · CAug", "DDCL · BAug", "SimSiam · BAug", ""]


def test_panels_beside_and_above_a_gap_have_labels() -> None:
    axes = registry.draw("knn_curves", collected(RIVALS[2:], ("ddcl", "augself"))).axes
    shown = [each.get_visible() for each in axes]
    for place, each in enumerate(axes):
        if shown[place]:
            gap_left = place % 2 == 0 or not shown[place - 1]
            gap_below = place + 2 >= len(axes) or not shown[place + 2]
            assert (bool(each.get_ylabel()) and each.yaxis.label.get_visible()) == gap_left
            assert (bool(each.get_xlabel()) and each.xaxis.label.get_visible()) == gap_below
    assert not all(shown)


def test_a_few_methods_share_a_panel() -> None:
    (axes,) = registry.draw("knn_curves", collected(RIVALS[:MOST_LINES])).axes
    assert axes.get_title(loc="left") == "CAug"
