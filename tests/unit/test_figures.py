"""The figures draw what the frames hold, say what is missing, and are the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ddcl.plan.plan import Plan
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import write_judged
from ddcl.report.claims.scale import END, REACH, place, stretched
from ddcl.report.collected import Collected
from ddcl.report.figures import registry
from ddcl.report.figures.layout import STYLE, FigureStyle, panel_figure, write_figure
from ddcl.schema.figures import WORDS
from tests.unit import planted, synthetic

Frames = tuple[pd.DataFrame, pd.DataFrame, Plan]
PANELS = {"knn_curves": 2, "robustness": 2, "augmentation": 2, "parts": 2}


def whole() -> Frames:
    """Every run measured."""
    plan = synthetic.suite()
    return synthetic.records(plan), synthetic.histories(plan), plan


def broken(status: str) -> Frames:
    """Seed 1 of DDCL after BAug did not end well; only a collapsed run has values."""
    records, histories, plan = whole()
    run = {"variant": "ddcl", "augmentation": "baug", "seed": 1}
    records.loc[(records[list(run)] == pd.Series(run)).all(axis=1), "status"] = status
    if status != "collapsed":
        records.loc[records["status"] == status, "value"] = np.nan
        histories = histories[~(histories[list(run)] == pd.Series(run)).all(axis=1)]
    return records, histories, plan


def nothing() -> Frames:
    """No run has started."""
    records, _, plan = whole()
    return records.assign(value=np.nan, status="missing"), pd.DataFrame(), plan


def draw(name: str, records: pd.DataFrame, histories: pd.DataFrame, plan: Plan) -> Figure:
    """Draw a figure of the registry."""
    return registry.draw(name, Collected(plan, records, histories, [], Path("results")))


def texts(figure: Figure) -> list[str]:
    """What is written into each panel."""
    return [" ".join(text.get_text() for text in axes.texts) for axes in figure.axes]


def heights(axes: Axes) -> list[float]:
    """The heights of the bars, from left to right."""
    bars = sorted((patch.get_x(), patch.get_height()) for patch in axes.patches)  # type: ignore[attr-defined]
    return [height for _, height in bars]


def test_names() -> None:
    assert tuple(registry.FIGURES) == tuple(WORDS)


@pytest.mark.parametrize("name", PANELS)
def test_panels_and_notes(name: str) -> None:
    figure = draw(name, *whole())
    assert len(figure.axes) == PANELS[name]
    assert not any("runs" in text or "no data" in text for text in texts(figure))
    for status in ("missing", "failed", "diverged", "collapsed"):
        figure = draw(name, *broken(status))
        assert f"1 of {10 if name == 'augmentation' else 6} runs {status}" in texts(figure)[0]
    assert "†" in texts(figure)[0]
    assert all("no data" in text and "runs missing" in text for text in texts(draw(name, *nothing())))


@pytest.mark.parametrize("name", PANELS)
def test_same_bytes(name: str, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    for folder in ("a", "b"):
        write_figure(draw(name, *broken("missing")), tmp_path / folder / name, synthetic.suite())
    suffixes = ("pdf", "png", "svg")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [f"{name}.{suffix}" for suffix in suffixes]
    for suffix in suffixes:
        first, second = ((tmp_path / folder / f"{name}.{suffix}").read_bytes() for folder in ("a", "b"))
        assert first == second
        assert b"Matplotlib" not in first
        assert b"CreationDate" not in first
    assert dict(matplotlib.rcParams) == before


def test_bars_are_means() -> None:
    baug, caug = draw("robustness", *whole()).axes  # per perturbation: DDCL, SimSiam, random init
    assert heights(baug) == pytest.approx([92, 90, 72, 46, 45, 36])
    assert heights(caug) == pytest.approx([90, 88, 72, 45, 44, 36])
    clean, rotated = draw("parts", *whole()).axes  # per augmentation: full, dir, dvr
    assert heights(clean) == pytest.approx([92, 91, 72, 90, 89, 70])
    assert heights(rotated) == pytest.approx([46, 45.5, 36, 45, 44.5, 35])


def test_the_floor_of_the_parts_is_the_whole_untrained_encoder() -> None:
    records, histories, plan = whole()
    columns = records[records["variant"] == "random_init"].assign(part="random_dvr", value=0.1)
    *_, floor = draw("parts", pd.concat([records, columns]), histories, plan).axes[0].lines
    assert list(floor.get_ydata()) == pytest.approx([72, 72])


def test_many_evaluations_go_on_in_the_next_row_of_their_dataset() -> None:
    records, histories, plan = whole()
    names = [f"e{i}" for i in range(6)]
    records = pd.concat([records[records["evaluation"] == "linear"].assign(evaluation=name) for name in names])
    runs = [
        run.model_copy(update={"targets": [synthetic.target(name, run.parts) for name in names]}) for run in plan.runs
    ]
    plan = plan.changed(evaluations=synthetic.made_up(names), runs=runs)
    axes = draw("augmentation", records, histories, plan).axes
    assert [each.get_title(loc="left") for each in axes if each.get_visible()] == names
    assert [bool(each.get_xlabel()) for each in axes] == [False, False, True, True, True, True, False, False]


def test_an_evaluation_without_accuracies_has_no_panel() -> None:
    records, histories, plan = whole()
    runs = [
        run.model_copy(update={"targets": [*run.targets, synthetic.target("drift", run.parts, metrics=["drift"])]})
        for run in plan.runs
    ]
    plan = plan.changed(runs=runs, evaluations=plan.evaluations | synthetic.made_up(["drift"]))
    assert len(draw("augmentation", records, histories, plan).axes) == PANELS["augmentation"]


def test_missing_seed_is_left_out_of_the_mean() -> None:
    assert heights(draw("robustness", *broken("missing")).axes[0])[0] == pytest.approx(90)


def test_collapsed_is_hollow() -> None:
    axes = draw("robustness", *broken("collapsed")).axes[0]
    hollow = [patch.get_height() for patch in axes.patches if patch.get_facecolor() == (1, 1, 1, 1)]  # type: ignore[attr-defined]
    assert hollow == pytest.approx([92, 46])


def test_lines_are_means() -> None:
    ddcl, simsiam, floor = draw("augmentation", *whole()).axes[0].lines
    assert list(ddcl.get_ydata()) == pytest.approx([92, 90])
    assert list(simsiam.get_ydata()) == pytest.approx([90, 88])
    assert list(floor.get_ydata()) == pytest.approx([72, 72])
    ddcl, simsiam, floor = draw("knn_curves", *whole()).axes[0].lines
    assert list(ddcl.get_xdata()) == [0, 2, 4, 6]  # epoch 1 was not monitored
    assert list(ddcl.get_ydata()) == pytest.approx([50, 70, 76, 90])
    assert list(floor.get_ydata()) == pytest.approx([70, 70])


def test_the_curve_of_a_diverged_run_is_shown_but_in_no_mean() -> None:
    records, histories, plan = whole()
    run = {"variant": "ddcl", "augmentation": "baug", "seed": 1}
    records.loc[(records[list(run)] == pd.Series(run)).all(axis=1), ["value", "status"]] = [np.nan, "diverged"]
    own = (histories[list(run)] == pd.Series(run)).all(axis=1)
    histories.loc[own, "knn_top1"] *= 0.2
    axes = draw("knn_curves", records, histories[~own | (histories["epoch"] <= 2)], plan).axes[0]
    mean, _, diverged, *_ = axes.lines
    assert list(mean.get_ydata()) == pytest.approx([50, 70, 76, 90])
    assert list(diverged.get_ydata()) == pytest.approx([10, 14])
    assert "‡" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("status", ["diverged", "missing"])
def test_a_probe_that_diverged_or_is_missing_is_no_reason_to_leave_out_a_curve(status: str) -> None:
    records, histories, plan = whole()
    records = records.assign(training="ok")
    own = (records["variant"] == "ddcl") & (records["seed"] == 1) & (records["evaluation"] == "linear")
    assert own.any()
    records.loc[own, ["value", "status"]] = [np.nan, status]
    figure, expected = (
        draw("knn_curves", pd.concat([records[own], records[~own]]), histories, plan),
        draw("knn_curves", *whole()),
    )
    assert [len(axes.lines) for axes in figure.axes] == [len(axes.lines) for axes in expected.axes]
    assert texts(figure) == texts(expected)


def test_each_dataset_has_its_own_scale() -> None:
    records, histories, plan = whole()
    other = {"dataset": "other", "eval_dataset": "other"}
    values = {"dataset": "other", "targets": synthetic.targets(["full"], eval_dataset="other")}
    plan = plan.changed(runs=[*plan.runs, *(run.model_copy(update=values) for run in plan.runs)])
    records = pd.concat([records, records.assign(**other, value=records["value"] / 4)])
    histories = pd.concat([histories, histories.assign(dataset="other", knn_top1=histories["knn_top1"] / 4)])
    for name in ("knn_curves", "augmentation"):
        axes = draw(name, records, histories, plan).axes
        assert axes[0].get_ylim() == axes[1].get_ylim()
        assert axes[0].get_ylim()[0] > axes[2].get_ylim()[1]


@pytest.mark.parametrize("n", [1, 3, 9, 20])
@pytest.mark.parametrize("label", ["DDCL", "DDCL (symmetric), λ = 0.1 − DDCL (symmetric)"])
def test_a_legend_is_no_wider_than_its_figure(label: str, n: int) -> None:
    records, _, plan = whole()
    panels = list(FigureStyle(plan).by_augmentation(records))
    handles: list[Artist] = [Line2D([], [], label=label) for _ in range(n)]
    with matplotlib.rc_context(STYLE):
        figure = panel_figure(panels, (2, 3.0), ("", ""), lambda axes, frame: None, handles)
        FigureCanvasAgg(figure).draw()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_suite_without_linear_or_parts() -> None:
    records, histories, plan = whole()
    plan = synthetic.altered(plan, {"parts": ["full"]}).changed(evaluations={"knn": plan.evaluations["knn"]})
    records = records[(records["evaluation"] == "knn") & (records["part"] == "full")]
    assert "kNN" in draw("robustness", records, histories, plan).axes[0].get_ylabel()
    assert texts(draw("parts", records, histories, plan))[0].startswith("no data: ")


def test_forest_plot_of_claims(tmp_path: Path) -> None:
    plan = planted.suite(["C2", "C4", "C7.1"], ["ddcl", "simsiam"], 3)
    found = planted.results(plan, tmp_path, planted.plus(2.0))
    write_judged(judge_claims(found), found)
    axes = registry.draw("claims", found).axes[0]
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows[:4] == ["C2a: supported", "linear, 3 seeds", "DDCL − SimSiam, BAug", "DDCL − SimSiam, CAug"]
    assert {"C7.1a: not run", "R1 seen, 3 seeds", "R2 unseen, 3 seeds"} <= set(rows)
    markers = {line.get_ydata()[0]: line for line in axes.lines if line.get_marker() == "o"}
    assert markers[1].get_color() == plan.marks["ddcl"].light  # the pooled effect
    assert stretched(1.5) < markers[1].get_xdata()[0] < stretched(2.5)  # in units of the smallest effect that matters
    assert [text.get_text() for text in axes.texts].count("not run") == 18  # most of them of the symmetric form


def test_the_scale_is_linear_to_what_matters_and_logarithmic_beyond() -> None:
    assert [stretched(units) for units in (0, 0.5, 1, -1, 10, -100)] == [0, 0.5, 1, -1, 3, -5]
    assert (place(0), place(REACH), place(-1e6)) == (0.5, 1, 0)
    assert place(1) - 0.5 == pytest.approx(0.5 / END)


def test_an_effect_beyond_the_scale_is_an_arrow_and_one_without_an_interval_a_hollow_mark_on_a_dotted_line(
    tmp_path: Path,
) -> None:
    plan = planted.suite(["C2"], ["ddcl", "simsiam"], 3)
    found = planted.results(plan, tmp_path, planted.plus(2.0))
    (claim,) = judge_claims(found)
    check = claim.forms[0].checks[0]
    far = check.model_copy(
        update={"effect": 80.0, "ci_low": 60.0, "ci_high": 100.0, "comparisons": check.comparisons[:1]}
    )
    alone = check.model_copy(
        update={"effect": 0.1, "ci_low": np.nan, "ci_high": np.nan, "comparisons": check.comparisons[:1]}
    )
    form = claim.forms[0].model_copy(update={"checks": [far, alone, check]})
    with patch("ddcl.report.figures.claims.read_judged", lambda _: [claim.model_copy(update={"forms": [form]})]):
        axes = registry.draw("claims", found).axes[0]
    marks = {line.get_ydata()[0]: line for line in axes.lines if line.get_marker() not in ("", "None")}
    assert (marks[1].get_marker(), marks[1].get_xdata()[0]) == (">", END)
    assert any(line.get_linestyle() == ":" and set(line.get_ydata()) == {2} for line in axes.lines)
    assert marks[2].get_markerfacecolor() == "white"


def test_a_suite_without_claims_says_so() -> None:
    assert "no claims in the suite" in texts(draw("claims", *whole()))[0]
