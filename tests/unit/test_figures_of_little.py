"""Suites that show little: each figure is drawn, or says that there is nothing to draw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddcl.plan.plan import Plan, PlannedRun
from ddcl.report.collected import Collected
from ddcl.report.figures import registry
from ddcl.report.figures.layout import NO_PANELS, write_figure
from ddcl.schema.figures import WORDS
from tests.unit.synthetic_diagnostics import collected

KEPT: dict[str, Any] = {  # which runs of the suite
    "only untrained ones": lambda run: not run.trains,
    "one arm": lambda run: run.variant == "simsiam" and run.augmentation == "caug",
    "one arm and the untrained": lambda run: not run.trains or (run.variant == "ddcl" and run.augmentation == "baug"),
    "one run": lambda run: run.name == "digits/simsiam/baug/seed0",
}


def with_runs(found: Collected, runs: list[PlannedRun]) -> Collected:
    names = {run.names for run in runs}
    frames = (
        frame[[key in names for key in zip(*(frame[name] for name in runs[0].key), strict=True)]]
        for frame in (found.records, found.histories)
    )
    records, histories = frames
    return replace(found, plan=found.plan.changed(runs=runs), records=records, histories=histories)


def small_suites() -> dict[str, Collected]:
    whole = collected()
    found = {name: with_runs(whole, [run for run in whole.plan.runs if kept(run)]) for name, kept in KEPT.items()}
    none_shown: Plan = whole.plan.changed(figure_variants=[])
    nothing_shown = none_shown.changed(runs=[run for run in whole.plan.runs if run.trains])
    return found | {
        "no trained run shown": replace(whole, plan=none_shown),
        "no run shown": with_runs(replace(whole, plan=nothing_shown), nothing_shown.runs),
    }


SUITES = small_suites()


@pytest.mark.parametrize("name", WORDS)
def test_a_figure_without_runs_says_so(name: str) -> None:
    figure = registry.draw(name, SUITES["no run shown"])
    said = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)

    assert NO_PANELS in said or name == "claims"


@pytest.mark.parametrize("name", ["readout", "knn_curves_differences"])
def test_an_arm_that_no_run_has_gets_no_panel(name: str) -> None:
    whole = collected()
    runs = [run for run in whole.plan.runs if run.variant != "ddcl" or run.augmentation == "caug"]
    figure = registry.draw(name, with_runs(whole, runs))
    own = [title for axes in figure.axes if "DDCL" in (title := axes.get_title("left"))]

    assert len(own) == 1
    assert "CAug" in own[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", WORDS)
def test_every_figure_of_a_small_suite(name: str, tmp_path: Path) -> None:
    for suite, found in SUITES.items():
        figure = registry.draw(name, found)
        said = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
        assert any(axes.has_data() for axes in figure.axes) or "no data" in said, suite
        write_figure(figure, tmp_path / f"{name} {suite}")
