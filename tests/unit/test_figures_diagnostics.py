"""The figures of diagnostics, response and convergence: what they draw, and what they say is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddcl.report.collected import Collected
from ddcl.report.figures import registry
from ddcl.report.figures.layout import NOTE, PARTS, write_figure
from ddcl.report.figures.response import under
from tests.unit import synthetic, synthetic_diagnostics

PANELS = {"readout": 4, "invariance": 2, "class_controls": 2, "cosines": 2, "convergence": 4, "convergence_loss": 4}
PANELS |= {
    "factors": 4,
    "response_rotation": 12,
    "response_rotation_differences": 8,
}  # the others are the same function


def whole() -> Collected:
    return synthetic_diagnostics.collected()


def broken(status: str) -> Collected:
    """Seed 1 of DDCL after BAug did not end well; only a collapsed run has values."""
    found, run = whole(), {"variant": "ddcl", "augmentation": "baug", "seed": 1}
    records, histories = found.records, found.histories
    records.loc[(records[list(run)] == pd.Series(run)).all(axis=1), "status"] = status
    if status != "collapsed":
        records.loc[records["status"] == status, "value"] = np.nan
        histories = histories[~(histories[list(run)] == pd.Series(run)).all(axis=1)]
    return replace(found, records=records, histories=histories)


def unmeasured() -> Collected:
    """A suite whose evaluations are others."""
    found = whole()
    return replace(found, records=found.records[found.records["evaluation"] == "linear"], histories=pd.DataFrame())


def draw(name: str, found: Collected) -> Figure:
    return registry.draw(name, found)


def texts(figure: Figure) -> list[str]:
    return [" ".join(text.get_text() for text in axes.texts) for axes in figure.axes]


def marks(axes: Axes, colour: str) -> list[tuple[float, float]]:
    """Where the marks of a colour are: (value, row), from the top."""
    own = [line for line in axes.lines if line.get_marker() in ("o", "D") and line.get_markeredgecolor() == colour]
    return sorted(((float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in own), key=lambda mark: mark[1])


@pytest.mark.parametrize("name", PANELS)
def test_panels_and_notes(name: str) -> None:
    figure = draw(name, whole())
    assert len(figure.axes) == PANELS[name]
    assert not any("runs" in text or "no data" in text for text in texts(figure))
    for status in ("diverged", "collapsed"):
        (text, *_) = texts(draw(name, broken(status)))
        assert re.search(f"1 of [246] runs {status}", text)
        assert "†" in text or status == "diverged"
    assert all("no data" in text for text in texts(draw(name, unmeasured())))
    planned = name.startswith("convergence")  # every training has a history, whatever is evaluated
    assert any("missing" in text for text in texts(draw(name, unmeasured()))) == planned


@pytest.mark.parametrize("name", ["invariance", "convergence"])
def test_same_bytes(name: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_figure(draw(name, broken("missing")), tmp_path / folder / name)
    for suffix in ("png", "pdf"):
        first, second = ((tmp_path / folder / f"{name}.{suffix}").read_bytes() for folder in ("a", "b"))
        assert first == second


def test_readout_shows_each_part_beside_its_control() -> None:
    axes = draw("readout", whole()).axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["rotation", "flip", "hue", "shuffled angle"]
    for part, angle in {"full": 0.82, "dir": 0.22, "dvr": 0.72}.items():  # means of two seeds
        (first, place), (flip, _), (hue, _), _ = marks(axes, PARTS[part])
        assert first == pytest.approx(angle)
        assert round(place) == 0
        assert flip == pytest.approx(angle + 0.02)  # 2 · accuracy − 1: seeds move it twice as far
        assert hue == pytest.approx(-0.1)  # at the edge
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]  # type: ignore[attr-defined]
    assert any(bar == pytest.approx((0.57, 0.67)) for bar in bars)  # random, as wide as DIR: 0.62 ± 0.05
    assert any(bar == pytest.approx((0.37, 0.47)) for bar in bars)
    assert marks(axes, NOTE)[0][0] == pytest.approx(0.72)


def test_factors_are_drawn_as_readouts_are() -> None:
    axes = draw("factors", whole()).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["shape (the class)", "hue"]
    (shape, _), (hue, _) = marks(axes, PARTS["dvr"])
    assert shape == pytest.approx(0.70 + 0.02 * 6 / 5)  # the share of what is possible above chance; seeds add 0.02
    assert hue == pytest.approx(0.72)


def test_a_mean_is_of_all_seeds_also_of_those_beyond_the_edge() -> None:
    found = whole()
    keys = {"variant": "ddcl", "augmentation": "baug", "seed": 0, "metric": "readout_hue", "part": "dvr"}
    found.records.loc[(found.records[list(keys)] == pd.Series(keys)).all(axis=1), "value"] = 0.96  # the other: −0.26
    hue = marks(draw("readout", found).axes[0], PARTS["dvr"])[2]
    assert hue[0] == pytest.approx(0.35)


def test_readout_of_a_method_without_parts_shows_its_controls() -> None:
    simsiam = draw("readout", whole()).axes[2]
    assert next(value for value, _ in marks(simsiam, PARTS["full"])) == pytest.approx(0.82)
    assert not marks(simsiam, PARTS["dvr"])
    assert len(simsiam.patches) == 8  # two controls of four distortions


def test_accuracy_of_parts_stands_beside_random_columns() -> None:
    found = whole()
    knn = found.records[(found.records["evaluation"] == "knn") & (found.records["perturbation"] == "none")]
    random = knn[(knn["variant"] == "ddcl") & (knn["part"] == "dvr")].assign(
        part="random_dvr", value=0.6, sd_draws=0.02
    )
    axes = draw("class_controls", replace(found, records=pd.concat([found.records, random]))).axes[0]
    assert marks(axes, PARTS["dvr"])[0][0] == pytest.approx(72)
    (bar,) = axes.patches
    assert (bar.get_x(), bar.get_width()) == pytest.approx((58, 4))  # type: ignore[attr-defined]
    assert axes.get_xlim()[1] == pytest.approx(96)  # the highest, 94, and a margin


def test_cosines_have_a_row_per_part() -> None:
    axes = draw("cosines", whole()).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["DDCL, DIR", "DDCL, DVR", "SimSiam & co_", "Random init"]


def test_clean_images_are_strength_zero_unless_the_family_has_one() -> None:
    found = whole()
    rotation, elastic = under(found, "rotation"), under(found, "elastic_strength")
    assert "none" not in set(rotation["perturbation"])
    assert sorted(set(rotation["strength"])) == list(range(-180, 181, 30))
    assert sorted(set(elastic["strength"])) == [0, 1, 2, 4, 7, 10]


def test_response_draws_mean_accuracy_and_drift_of_each_part() -> None:
    axes = draw("response_rotation", whole()).axes
    accuracy, drift = axes[0].lines[0], axes[10].lines[0]  # of full; of DVR, BAug
    assert list(accuracy.get_xdata()) == list(range(-180, 181, 30))
    assert list(accuracy.get_ydata())[6] == pytest.approx(92)
    assert drift.get_ydata()[0] == pytest.approx(0.82)
    assert axes[10].get_ylim() == axes[6].get_ylim() != axes[0].get_ylim()


def test_differences_of_responses_set_dir_against_all_features_of_a_method_without_parts() -> None:
    found = whole()
    for part, more in {"full": 0.05, "dir": -0.1}.items():
        own = (found.records["variant"] == "ddcl") & (found.records["part"] == part)
        found.records.loc[own, "value"] += more
    figure = draw("response_rotation_differences", found)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == 2 * ["BAug · whole", "CAug · whole", "BAug · DIR", "CAug · DIR"]
    means = [axes.lines[-1] for axes in figure.axes]
    assert all(list(line.get_xdata()) == list(range(-180, 181, 30)) for line in means)
    for panel, difference in {0: 5.0, 2: -10.0, 4: 0.05, 6: -0.1}.items():  # points of accuracy, then drift
        assert means[panel].get_ydata() == pytest.approx(difference)
    assert figure.get_suptitle() == ""  # two seeds have no interval that could be counted


def test_convergence_is_drawn_against_epochs_and_against_the_mean_of_the_seconds() -> None:
    found = whole()
    found.histories["seconds"] = found.histories["epoch"] * (10 + 2 * found.histories["seed"])
    epochs, seconds = draw("convergence", found).axes[:2]
    assert list(epochs.lines[0].get_xdata()) == [0, 2, 4, 6]
    assert list(seconds.lines[0].get_xdata()) == [0, 22, 44, 66]
    assert list(seconds.lines[0].get_ydata()) == pytest.approx([50, 70, 76, 90])


def test_warm_up_is_counted_and_its_end_marked() -> None:
    found = whole()
    plan = synthetic.altered(found.plan, {"extra_warmup_epochs": 2}, trains=True)
    epochs, seconds = draw("convergence", replace(found, plan=plan)).axes[:2]
    dotted = [line for line in epochs.lines if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in dotted] == [[2, 2]]
    assert not [line for line in seconds.lines if line.get_linestyle() == ":"]


def test_losses_of_other_forms_have_panels_of_their_own() -> None:
    found = whole()
    found.histories.loc[found.histories["variant"] == "simsiam", "loss"] = 100.0
    figure = draw("convergence_loss", found)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        f"{name} · {kind}" for kind in ("cosine loss", "sum of squares") for name in ("BAug", "BAug", "CAug", "CAug")
    ]
    assert list(figure.axes[0].lines[0].get_ydata()) == pytest.approx([-0.1, -0.2, -0.4, -0.6])  # dir_loss, not loss
