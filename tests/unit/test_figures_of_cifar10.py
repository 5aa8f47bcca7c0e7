"""The figures of digits and of the real plan of cifar10, with made-up records: nothing is hidden, cut or misnamed."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import write_judged
from ddcl.report.collected import Collected
from ddcl.report.figures import registry
from ddcl.report.figures.layout import write_figure
from ddcl.report.tables.statistics import paired_t

DRAWN = ("knn_curves", "robustness", "augmentation", "parts", "claims")
VIEWS = ("knn_curves_differences", "robustness_differences", "augmentation_differences", "parts_differences")
ABLATIONS = ("ablation_share_differences", "ablation_weight_differences")  # of which digits has none


@pytest.fixture(scope="module")
def found(whole: Collected) -> Collected:
    return whole


def laid_out(figure: Figure) -> FigureCanvasAgg:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is shown, and where."""
    renderer = laid_out(figure).get_renderer()
    found = []
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        ticks = [
            tick.label1
            for axis in (axes.xaxis, axes.yaxis)
            for tick in axis.get_major_ticks()
            if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        ]
        texts = [*ticks, *axes.texts, axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
        for text in (text for text in texts if text.get_text().strip() and text.get_visible()):
            found.append((text.get_text(), text.get_window_extent(renderer)))
    return found


def overlaps(first: Bbox, second: Bbox) -> float:
    """Area that two boxes share, in pixels; touching edges share none."""
    common = Bbox.intersection(first, second)
    return 0.0 if common is None or min(common.width, common.height) <= 1 else float(common.width * common.height)


@pytest.mark.parametrize("name", DRAWN + VIEWS + ABLATIONS)
def test_no_text_lies_on_another_or_off_the_page(name: str, found: Collected) -> None:
    figure = registry.draw(name, found)
    figure.set_dpi(150)
    shown = boxes(figure)
    width = figure.bbox.width
    assert [text for text, box in shown if box.x0 < -1 or box.x1 > width + 1] == []
    assert [(one[0], two[0]) for one, two in combinations(shown, 2) if overlaps(one[1], two[1])] == []
    legends = [legend.get_window_extent() for legend in figure.legends]
    assert [box for box in legends if box.x0 < 0 or box.x1 > width] == []


@pytest.mark.parametrize("name", DRAWN + VIEWS)
def test_what_was_never_planned_is_not_said_to_be_missing(name: str, found: Collected) -> None:
    texts = [text.get_text() for axes in registry.draw(name, found).axes for text in axes.texts]
    assert [text for text in texts if "missing" in text] == []


def colour_of(handle: Any) -> str:
    return to_hex(handle.get_color() if isinstance(handle, Line2D) else handle.get_facecolor())


def test_a_method_has_its_colour_in_every_figure(found: Collected) -> None:
    for name in ("knn_curves", "robustness"):
        (legend,) = registry.draw(name, found).legends
        shown = {text.get_text(): colour_of(own) for text, own in zip(legend.texts, legend.legend_handles, strict=True)}
        for method in ("ddcl", "simsiam", "barlow_twins", "random_init"):
            assert shown[found.plan.label("variant", method)] == found.plan.marks[method].light


def test_every_effect_of_the_forest_has_a_mark(found: Collected) -> None:
    axes = registry.draw("claims", found).axes[0]
    marked = {line.get_ydata()[0] for line in axes.lines if line.get_marker() not in ("", "None", None)}
    labels = [text.get_text() for text in axes.get_yticklabels()]
    remarks = {text.xyann if hasattr(text, "xyann") else None: text.get_text() for text in axes.texts}
    with_effect = {place[1] for place, text in remarks.items() if place and text[0] in "+−0123456789"}
    assert len(labels) > 20
    assert with_effect
    assert with_effect <= marked


def test_no_interval_of_the_forest_looks_infinitely_narrow(found: Collected, tmp_path: Path) -> None:
    early = [frame[frame["seed"] < 2] for frame in (found.records, found.histories)]
    runs = [each for each in found.runs if each.run.seed < 2]
    few = replace(found, records=early[0], histories=early[1], runs=runs, results=tmp_path)
    write_judged(judge_claims(few), few)
    axes = registry.draw("claims", few).axes[0]
    heights = {line.get_ydata()[0] for line in axes.lines if line.get_marker() not in ("", "None", None)}
    dotted = {line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"}
    assert len(heights) > 10
    assert heights == dotted  # two seeds give no interval
    hollow = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() not in ("", "None", None)]
    assert set(hollow) == {"white"}


def test_figures_for_the_page_have_no_size_of_their_own_and_no_ids_of_others(found: Collected, tmp_path: Path) -> None:
    texts, light = {}, found.plan.marks["ddcl"].light
    for name in ("knn_curves", "robustness"):
        write_figure(registry.draw(name, found), tmp_path / name, found.plan)
        text = texts[name] = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert len(text.encode()) < 400_000
        assert text.startswith("<svg viewBox=")
        assert " width=" not in text.partition(">")[0]
        assert text.count(light) == text.count(f"var(--m-ddcl, {light})") > 0
    assert "<title>DDCL, clean: " in texts["robustness"]
    for names in (r' id="([^"]+)"', r"\.([\w-]+)\{"):  # ids, and classes that the page has only once
        own = [set(re.findall(names, text)) for text in texts.values()]
        assert all(own)
        assert not own[0] & own[1]


@pytest.mark.parametrize("name", VIEWS + ABLATIONS)
def test_a_view_of_differences_says_how_many_chance_alone_would_give(name: str, found: Collected) -> None:
    if name not in found.plan.figures:  # it is there of itself, beside the levels
        assert name in ABLATIONS
        assert found.plan.suite == "digits"
        return
    figure = registry.draw(name, found)
    counted = re.fullmatch(
        r"Of (\d+) differences, (\d+) have a 95 % interval above 0 and (\d+) below; by chance alone ([\d.]+) would.",
        figure.get_suptitle(),
    )
    assert counted
    total, above, below, chance = map(float, counted.groups())
    assert 0 <= above + below <= total
    assert chance == pytest.approx(0.05 * total, abs=0.06)


def test_differences_are_paired_by_seed_and_their_interval_is_that_of_the_tables(found: Collected) -> None:
    own = found.records.assign(
        sd_images=range(len(found.records))
    )  # as real records, with what differs from run to run
    figure = registry.draw("robustness_differences", replace(found, records=own))
    style = found.plan.marks["ddcl"]
    records = found.records[(found.records["evaluation"] == "linear") & (found.records["part"] == "full")]
    records = records[(records["perturbation"] == "none") & (records["augmentation"] == "baug")]
    records = records[(records["metric"] == "top1") & (records["dataset"] == records["eval_dataset"])]
    values = records.pivot_table(index="seed", columns="variant", values="value")
    expected = paired_t(list(100 * values["ddcl"]), list(100 * values["simsiam"]))
    lines = [line for line in figure.axes[0].lines if line.get_color() == style.light and len(line.get_xdata()) == 2]
    assert any(line.get_ydata() == pytest.approx([expected.low, expected.high]) for line in lines)
