"""Ablations follow the numbers of the recipes, not the variants' names; published numbers stand beside measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from ddcl.plan.plan import Plan
from ddcl.plan.suite import Suite
from ddcl.report.collected import Collected
from ddcl.report.figures import registry
from ddcl.report.figures.ablations import series
from ddcl.report.figures.layout import LOOKS
from ddcl.report.figures.published import pairs
from ddcl.report.tables.cells import CELL, expected_cells
from ddcl.report.tables.published import published_table

BLOCK = {"datasets": ["cifar10"], "augmentations": ["baug", "caug"], "seeds": [0, 1], "evaluations": ["linear"]}
SUITE = {
    "suite": "t",
    "title": "t",
    "description": "t",
    "runs": [
        BLOCK | {"variants": ["ddcl", "ddcl_f50", "ddcl_f90", "ddcl_w0", "ddcl_w10", "ddcl_b64", "simsiam"]},
        BLOCK | {"variants": ["random_init"], "augmentations": ["none"]},
    ],
    "perturbations": ["none"],
    "figures": ["published"],
    "figure_variants": ["ddcl", "simsiam"],
}
PLAN = Suite(SUITE, "t.yaml").plan
EMPTY = pd.DataFrame(columns=[*CELL, "value", "sd_draws", "n", "n_draws", "status"]).astype({"seed": int})


def records() -> pd.DataFrame:
    """Accuracy is 0.5 plus a tenth of DIR's share, less a hundredth of λ, plus 0.02 for seed 1."""
    settings = {run.variant: run.settings for run in PLAN.runs}
    cells = expected_cells(EMPTY, PLAN)
    own = cells["variant"].map(settings)
    share = own.map(lambda known: known.get("dir_frac", 0.0))
    weight = own.map(lambda known: known.get("dvr_weight", 0.0))
    value = 0.5 + 0.1 * share - 0.01 * weight + 0.02 * cells["seed"]
    return cells.assign(value=value, n=10000, n_draws=1, sd_draws=np.nan, status="ok")


def axes_of(name: str, frame: pd.DataFrame, plan: Plan = PLAN) -> list[Axes]:
    return registry.draw(name, Collected(plan, frame, pd.DataFrame(), [], Path("results"))).axes


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def test_a_series_differs_in_its_setting_and_in_nothing_else() -> None:
    for setting, expected in (("dir_frac", {0.5, 0.8, 0.9}), ("dvr_weight", {0.0, 1.0, 10.0})):
        groups = series(PLAN.runs, setting)
        assert len(groups) == 2  # an augmentation each; another batch size stands alone
        for runs in groups:
            assert {run.settings[setting] for run in runs} == expected
            assert len({run.batch_size for run in runs}) == 1
            assert len(runs) == 6


def test_lines_are_means_at_the_place_of_the_number() -> None:
    baug, caug = axes_of("ablation_share", records())
    assert [axes.get_title(loc="left") for axes in (baug, caug)] == ["BAug", "CAug"]
    assert ticks(baug) == ["50", "80", "90"]
    floor, full, *_ = baug.lines
    assert list(floor.get_ydata()) == pytest.approx([51, 51])
    assert list(full.get_ydata()) == pytest.approx([55, 58, 59])  # λ = 1 costs a point, the mean of the seeds gains one
    weight = axes_of("ablation_weight", records())[0]
    assert ticks(weight) == ["0", "1", "10"]
    assert list(weight.lines[1].get_ydata()) == pytest.approx([59, 58, 49])


def marked(axes: Axes) -> set[tuple[str, float]]:
    """What is marked on the line of the whole features: the printed number below it, and its height."""
    own = [line for line in axes.lines if line.get_marker() == LOOKS["full"]["marker"] and len(line.get_xdata()) == 1]
    places = [(round(float(line.get_xdata()[0])), float(line.get_ydata()[0])) for line in own]
    return {(ticks(axes)[place], round(value, 6)) for place, value in places}


def test_differences_are_from_the_methods_own_number_paired_by_seed() -> None:
    frame = records()
    frame["value"] += 0.3 * (frame["seed"] == 1)  # of all runs alike
    baug, caug = axes_of("ablation_share_differences", frame)
    assert [axes.get_title(loc="left") for axes in (baug, caug)] == ["BAug · minus DDCL", "CAug · minus DDCL"]
    assert marked(baug) == {("50", -3), ("90", 1)}  # 80 is DDCL's own
    assert marked(axes_of("ablation_weight_differences", frame)[1]) == {("0", 1), ("10", -9)}


def test_series_of_one_place_are_told_apart_by_their_variants() -> None:
    others = [
        run.model_copy(update={"variant": f"{run.variant}_long", "epochs": 2 * run.epochs})
        for run in PLAN.runs
        if run.method == "ddcl" and run.augmentation == "caug"
    ]
    labels = PLAN.labels | {"variant": PLAN.labels["variant"] | {"ddcl_long": "DDCL, long"}}
    both = axes_of("ablation_share", records(), PLAN.changed(runs=[*PLAN.runs, *others], labels=labels))
    assert [axes.get_title(loc="left") for axes in both[:3]] == ["BAug", "CAug · DDCL", "CAug · DDCL, long"]


def test_what_is_missing_or_collapsed_shows() -> None:
    frame = records()
    lost = (frame["variant"] == "ddcl_f50") & (frame["augmentation"] == "baug") & (frame["seed"] == 0)
    axes = axes_of(
        "ablation_share", frame.assign(value=frame["value"].mask(lost), status=frame["status"].mask(lost, "missing"))
    )
    assert "1 of 8 runs missing" in [text.get_text() for text in axes[0].texts]
    assert list(axes[0].lines[1].get_ydata()) == pytest.approx([56, 58, 59])
    axes = axes_of("ablation_share", frame.assign(status=frame["status"].mask(lost, "collapsed")))
    assert "†" in [text.get_text() for text in axes[0].texts]


def test_a_suite_without_an_ablation_says_no_data() -> None:
    plan = PLAN.changed(runs=[run for run in PLAN.runs if run.variant in ("ddcl", "simsiam")])
    frame = records()
    (axes,) = axes_of("ablation_share", frame[frame["variant"].isin(["ddcl", "simsiam"])], plan)
    assert axes.texts[0].get_text().startswith("no data: ")


def test_measured_against_published() -> None:
    frame = pairs(published_table(expected_cells(records(), PLAN), PLAN))
    assert len(frame)
    simsiam = frame[(frame["variant"] == "simsiam") & (frame["augmentation"] == "baug")]
    assert simsiam["value"].to_numpy() == pytest.approx(51.0)
    assert simsiam["published"].nunique() > 1
    (axes,) = axes_of("published", records())
    *points, identity = axes.lines
    assert list(identity.get_xdata()) == list(identity.get_ydata())
    drawn = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in points if len(line.get_xdata()) == 1}
    assert drawn == set(zip(frame["published"], frame["value"], strict=True))


def test_what_was_not_measured_is_not_drawn_but_counted() -> None:
    frame = records().assign(value=np.nan, status="missing")
    (axes,) = axes_of("published", frame)
    texts = [text.get_text() for text in axes.texts]
    assert "no data" in texts
    assert any("runs missing" in text for text in texts)
