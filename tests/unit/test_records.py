"""Records: which columns a part has, which cells a record has, and what stands in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddcl.evaluate.protocols import Job, column_sets
from ddcl.evaluate.record import _cells
from ddcl.evaluate.store import Outcome
from ddcl.plan.cells import cells_of
from ddcl.schema.feature_index import Draw
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.recipes import build_recipe, read_evaluation
from ddcl.schema.registry import TOP1, TOP1_BEST_TEST
from ddcl.schema.suites import RandomSubsetsConfig

SUBSETS = RandomSubsetsConfig(draws=6, dir_frac=0.8)
LABELS = np.array([0, 1, 1, 0])


def job(
    variant: str = "simsiam", evaluation: str = "linear", subsets: RandomSubsetsConfig | None = None, seed: int = 0
) -> Job:
    recipe = build_recipe(("digits", variant, "baug"), seed, {})
    perturbations = ["none", "color", "common_corruptions_3.fog_3"]
    here, settings = Path(), read_evaluation(evaluation)[1]
    under = [read_perturbation(name) for name in perturbations]
    cells = [cell for group in cells_of(recipe.method, settings, under, subsets is not None) for cell in group]
    return Job(recipe, settings, "digits", perturbations, here, (here, here), (here, ""), cells, None, subsets)


def outcome(**correct: list[int]) -> Outcome:
    """Predictions that are right where `correct` has 1, by draw; `color_0` stands for draw 0 of color."""
    predicted = {name.replace("__", "."): np.where(np.array(own), LABELS, 1 - LABELS) for name, own in correct.items()}
    return Outcome({TOP1: {Draw(name[:-2], int(name[-1])): own for name, own in predicted.items()}})


# --- columns


def test_random_columns_tile_the_features_and_are_the_same_for_all_methods() -> None:
    sets = column_sets({"full": (0, 64)}, job(subsets=SUBSETS))
    assert list(sets) == ["full", "random_dir", "random_dvr"]
    assert [len(own) for own in sets["random_dir"]] == [51] * 6  # round(0.8 · 64), as wide as DIR
    assert [len(own) for own in sets["random_dvr"]] == [13] * 6
    for kept, rest in zip(sets["random_dir"], sets["random_dvr"], strict=True):
        assert sorted([*kept, *rest]) == list(range(64))
    assert len({tuple(own) for own in sets["random_dir"]}) == 6
    other = column_sets({"full": (0, 64)}, job("barlow_twins", subsets=SUBSETS))
    assert all(np.array_equal(a, b) for a, b in zip(sets["random_dir"], other["random_dir"], strict=True))
    again = column_sets({"full": (0, 64)}, job(subsets=SUBSETS, seed=1))
    assert not np.array_equal(sets["random_dir"][0], again["random_dir"][0])


def test_a_method_with_a_split_has_its_parts_and_random_columns_as_wide() -> None:
    parts = {"full": (0, 64), "dir": (0, 40), "dvr": (40, 64)}
    sets = column_sets(parts, job("ddcl", subsets=SUBSETS))
    assert list(sets) == ["full", "dir", "dvr", "random_dir", "random_dvr"]
    assert np.array_equal(sets["dvr"][0], np.arange(40, 64))
    assert [len(own) for own in sets["random_dir"]] == [40] * 6  # DIR's own width, not dir_frac's
    assert [len(own) for own in sets["random_dvr"]] == [24] * 6
    assert job("ddcl", subsets=SUBSETS).parts == set(sets)
    assert job("ddcl").parts == {"full", "dir", "dvr"}
    assert list(column_sets(parts, job("ddcl"))) == ["full", "dir", "dvr"]
    assert job("ddcl", "semi_1pct", SUBSETS).parts == {"full"}
    assert job(subsets=SUBSETS).parts == {"full", "random_dir", "random_dvr"}
    assert job().parts == {"full"}


# --- cells


def test_a_cell_is_the_mean_of_its_draws_with_their_spread() -> None:
    fog = {"common_corruptions_3__fog_3_0": [0, 0, 0, 0]}
    found = outcome(none_0=[1, 1, 1, 1], color_0=[1, 1, 0, 0], color_1=[1, 0, 0, 0], **fog)
    cells, arrays = _cells(job(), {"full": [found]}, LABELS)
    values = {cell.perturbation: (cell.value, cell.n_draws, cell.sd_draws) for cell in cells}
    assert values == {
        "none": (1.0, 1, None),
        "color": (0.375, 2, pytest.approx(0.25 / np.sqrt(2))),
        "common_corruptions_3.fog_3": (0.0, 1, None),
    }
    assert {cell.n for cell in cells} == {4}
    assert arrays["top1/full/color"].shape == (1, 2, 4)  # column sets, draws, images
    assert np.array_equal(arrays["labels"], LABELS)


def test_a_random_part_spreads_over_its_columns_and_skips_families() -> None:
    outcomes = [outcome(none_0=own, color_0=own) for own in ([1, 1, 1, 1], [1, 1, 0, 0])]
    cells, arrays = _cells(job(subsets=SUBSETS), {"random_dir": outcomes}, LABELS)
    assert [cell.perturbation for cell in cells] == ["none", "color"]
    assert all(cell.value == 0.75 and cell.n_draws == 2 for cell in cells)
    assert cells[0].sd_draws == pytest.approx(0.5 / np.sqrt(2))
    assert arrays["top1/random_dir/none"].shape == (2, 1, 4)


def test_both_metrics_of_the_online_probe_are_cells() -> None:
    fog = {Draw("common_corruptions_3.fog_3", 0): LABELS}
    last, best = ({Draw("none", 0): LABELS, Draw("color", 0): own} | fog for own in (1 - LABELS, LABELS))
    cells, _ = _cells(job(evaluation="linear_online"), {"full": [Outcome({TOP1: last, TOP1_BEST_TEST: best})]}, LABELS)
    found = {(cell.perturbation, cell.metric): cell.value for cell in cells}
    assert found["color", "top1"] == 0.0
    assert found["color", "top1_best_test_epoch"] == 1.0


def test_a_diverged_run_has_its_cells_without_values() -> None:
    cells, arrays = _cells(job(evaluation="linear_online", subsets=SUBSETS), {}, None)
    assert arrays == {}
    assert {cell.value for cell in cells} == {None}
    assert len(cells) == 2 * (3 + 2 + 2)  # metrics · (full under three, random parts under two)
