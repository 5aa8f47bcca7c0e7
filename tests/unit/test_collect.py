"""Collecting: every expected cell is a row, and whatever is missing, doubled or stale is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import write_json
from ddcl.report.collect import ABSENT, OTHER_CODE, collect
from ddcl.report.collected import Collected
from ddcl.schema import manifest, record
from ddcl.schema.history import FIRST_COLUMNS
from ddcl.schema.recipes import EvaluationRecipe, read_evaluation
from ddcl.schema.tables import RUN as KEYS
from tests.unit import pages, synthetic, written

PLAN = synthetic.with_recipes(synthetic.suite())
CELLS = 2 * 2 * (4 * 3 + 4 * 1 + 2 * 1)  # evaluations · perturbations · (runs · parts of DDCL, SimSiam, the floor)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results in which every run and record of the synthetic suite is there."""
    results = tmp_path_factory.mktemp("results")
    written.write_results(PLAN, results, synthetic.value)
    return results


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(whole, tmp_path / "results")


def test_every_expected_cell_is_a_row(results: Path) -> None:
    found = collect(PLAN, results, partial=False)
    assert found.problems == []
    records = pd.read_parquet(results / "records.parquet")
    assert len(records) == CELLS
    assert set(records["status"]) == {"ok"}
    expected = synthetic.records(PLAN)
    pd.testing.assert_frame_equal(records[expected.columns], expected, check_dtype=False)
    trained = sum(run.trains for run in PLAN.runs)
    histories = pd.read_parquet(results / "histories.parquet")
    assert len(histories) == 3 * trained + len(PLAN.runs) - trained
    assert list(histories.columns) == [*KEYS, *FIRST_COLUMNS]
    assert [run.run.name for run in Collected.load(results).runs] == [run.name for run in PLAN.runs]


RUN = PLAN.run("digits/ddcl/caug/seed1")
RECORD = synthetic.record_of(PLAN, RUN.name, "knn")


def other_settings() -> EvaluationRecipe:
    recipe = read_evaluation("knn")[1]
    return recipe.model_copy(update={"settings": recipe.settings | {"k": 7}})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (None, "missing record"),
        ({"provenance": pages.provenance(RUN, recipe_digest="other")}, "its recipe_digest is other, expected"),
        ({"checkpoint_digest": "other"}, "its checkpoint_digest is other, expected cccc"),
        ({"digest": "other"}, "its digest is other, expected"),
        ({"evaluated_on_seal": "other"}, "its evaluated_on_seal is other, expected"),
        ({"status": "collapsed"}, "its status is collapsed, expected ok"),
        ({"evaluation": other_settings()}, "evaluated with other settings than the plan has"),
        ({"cells": ()}, "missing cell (part full, perturbation none, metric top1)"),
    ],
)
def test_a_bad_record_is_named_and_its_cells_are_missing(
    changes: dict[str, Any] | None, expected: str, results: Path
) -> None:
    path = results / RECORD
    if changes is None:
        path.unlink()
    else:
        written.change_record(path, **changes)
    with pytest.raises(UserError, match="problem") as error:
        collect(PLAN, results, partial=False)
    assert str(path) in str(error.value)
    assert expected in str(error.value)
    assert not (results / "records.parquet").exists()

    assert collect(PLAN, results, partial=True).problems
    records = pd.read_parquet(results / "records.parquet")
    assert len(records) == CELLS
    bad = records[records["status"] != "ok"]
    assert set(bad["status"]) == {"missing"}
    assert bad["value"].isna().all()
    assert len(bad) == 6
    assert set(bad["variant"] + bad["augmentation"] + bad["evaluation"]) == {"ddclcaugknn"}


def test_a_doubled_cell_is_named(results: Path) -> None:
    cells = record.load(results / RECORD).cells
    written.change_record(results / RECORD, cells=(*cells, cells[0]))
    with pytest.raises(UserError, match="duplicate cell"):
        collect(PLAN, results, partial=False)


def test_a_missing_run_is_named_once_and_marked(results: Path) -> None:
    shutil.rmtree(results / PLAN.run("digits/simsiam/baug/seed0").folder)
    found = collect(PLAN, results, partial=True)
    (problem,) = found.problems  # its records are not named again
    assert problem.endswith("run.json: missing summary of a training; `ddcl pretrain` makes it")
    lost = [run for run in Collected.load(results).runs if run.status == "missing"]
    assert [(run.run.name, run.summary) for run in lost] == [("digits/simsiam/baug/seed0", None)]
    records = pd.read_parquet(results / "records.parquet")
    assert (records["status"] == "missing").sum() == 4


def test_a_diverged_run_is_no_problem_and_has_no_values(results: Path) -> None:
    name = "digits/simsiam/baug/seed0"
    written.change_summary(results / PLAN.run(name).folder / "run.json", status="diverged")
    for evaluation in PLAN.evaluations:
        path = results / synthetic.record_of(PLAN, name, evaluation)
        cells = tuple(cell.model_copy(update={"value": None, "n": 0}) for cell in record.load(path).cells)
        written.change_record(path, status="diverged", cells=cells)
    assert collect(PLAN, results, partial=False).problems == []
    records = pd.read_parquet(results / "records.parquet")
    bad = records[records["status"] == "diverged"]
    assert len(bad) == 4
    assert bad["value"].isna().all()


# --- what does not belong together


OTHER = PLAN.run("digits/ddcl/caug/seed0")


def swap(results: Path, name: str) -> None:
    """Give a file of a run to the run of the other seed, and the other way round."""
    first, second = (results / run.folder / name for run in (RUN, OTHER))
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def record_of_the_other_seed(results: Path) -> None:
    shutil.copy(results / synthetic.record_of(PLAN, OTHER.name, "knn"), results / RECORD)


def other_recipe(results: Path) -> None:
    recipe = synthetic.recipe_of(RUN)
    training = recipe.training.model_copy(update={"epochs": 999})
    write_json(results / RUN.folder / "config.json", recipe.model_copy(update={"training": training}).model_dump())


def other_normalisation(results: Path) -> None:
    """A manifest of other content whose seal fits."""
    path = results / PLAN.data_folders[0] / "manifest.json"
    read = manifest.load(path)
    changed = read.normalisation.model_copy(update={"mean": [0.1, 0.2, 0.3]})
    sealed.write(path, read.model_copy(update={"normalisation": changed}))


OF_RUN = {"ddcl/caug/1/knn", "ddcl/caug/1/linear"}
OF_BOTH = OF_RUN | {"ddcl/caug/0/knn", "ddcl/caug/0/linear"}
DAMAGE: dict[str, tuple[Callable[[Path], object], str, set[str] | None]] = {
    "edited value": (
        lambda results: edit(results / RECORD, '"value": 0.', '"value": 0.1'),
        "damaged or edited",
        {"ddcl/caug/1/knn"},
    ),
    "record of another seed": (
        record_of_the_other_seed,
        "its run is digits/ddcl/caug/seed0, expected digits/ddcl/caug/seed1",
        {"ddcl/caug/1/knn"},
    ),
    "predictions": (
        lambda results: (results / PLAN.run(RUN.name).predictions(RUN.targets[1])).write_bytes(b""),
        "_predictions.npz: damaged, edited, or of another run",
        {"ddcl/caug/1/knn"},
    ),
    "swapped histories": (
        lambda results: swap(results, "history.csv"),
        "history.csv: damaged, edited, or of another run",
        OF_BOTH,
    ),
    "swapped summaries": (
        lambda results: swap(results, "run.json"),
        "run.json: its run is digits/ddcl/caug/seed0",
        OF_BOTH,
    ),
    "swapped recipes": (lambda results: swap(results, "config.json"), "config.json: holds recipe", OF_BOTH),
    "edited config.json": (other_recipe, "config.json: holds recipe", OF_RUN),
    "edited manifest": (
        lambda results: edit(results / PLAN.data_folders[0] / "manifest.json", "0.5", "0.6"),
        "manifest.json: manifest is damaged or edited",
        set(),
    ),
    "other manifest": (other_normalisation, "run.json: its manifest_seal is", None),
    "checkpoint": (
        lambda results: (results / RUN.folder / "checkpoint.pt").write_bytes(b"other"),
        "checkpoint.pt: damaged, edited, or of another run",
        OF_RUN,
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_does_not_belong_together_is_named_and_gives_no_values(name: str, results: Path) -> None:
    damage, expected, lost = DAMAGE[name]
    damage(results)
    with pytest.raises(UserError, match="problem") as error:
        collect(PLAN, results, partial=False)
    lines = str(error.value).splitlines()[1:]
    assert any(expected in line for line in lines), lines
    assert all(line.startswith(f"  {results}/") for line in lines)
    assert not (results / "records.parquet").exists()
    collect(PLAN, results, partial=True)
    records = pd.read_parquet(results / "records.parquet")
    bad = records[records["status"].isin(ABSENT)]
    assert bad["value"].isna().all()
    assert records.drop(bad.index)["value"].notna().all()
    found = set(bad["variant"] + "/" + bad["augmentation"] + "/" + bad["seed"].astype(str) + "/" + bad["evaluation"])
    if lost is None:
        assert len(bad) == CELLS
    else:
        assert found == lost


# --- other code


def of_code(run: str, **changes: str) -> Callable[[Path], None]:
    """Give a run's summary (pretrain) or its record of kNN (extract, evaluate) another digest of code."""

    def change(results: Path) -> None:
        own = PLAN.run(run)
        path = results / synthetic.record_of(PLAN, run, "knn")
        if "pretrain" in changes:
            made = pages.provenance(own, code_digest=changes["pretrain"])
            written.change_summary(results / own.folder / "run.json", provenance=made)
        if "extract" in changes:
            written.change_record(path, features_code=changes["extract"])
        if "evaluate" in changes:
            written.change_record(path, provenance=pages.provenance(own, code_digest=changes["evaluate"]))

    return change


@pytest.mark.parametrize(
    ("stage", "evaluations", "note"),
    [
        ("pretrain", {"knn", "linear"}, "1 of 10 runs were trained, and 12 of 72 cells made, by other code than this"),
        ("extract", {"knn"}, "0 of 10 runs were trained, and 6 of 72 cells made, by other code than this checkout's"),
        ("evaluate", {"knn"}, "0 of 10 runs were trained, and 6 of 72 cells made, by other code than this checkout's"),
    ],
)
def test_what_other_code_made_is_no_problem_but_is_told(
    stage: str, evaluations: set[str], note: str, results: Path
) -> None:
    of_code(RUN.name, **{stage: "other"})(results)
    found = collect(PLAN, results, partial=False)
    assert found.problems == []
    assert found.other_code.startswith(note)
    collected = Collected.load(results)
    other = collected.records[collected.records["code"] == OTHER_CODE]
    assert set(collected.records["code"]) == {"", OTHER_CODE}
    assert set(other["evaluation"]) == evaluations
    assert {tuple(row) for row in other[KEYS].itertuples(index=False)} == {RUN.names}
    assert other["value"].notna().all()
    files = {synthetic.record_of(PLAN, RUN.name, name) for name in evaluations}
    files |= {f"{RUN.folder}/run.json", f"{RUN.folder}/history.csv"} if stage == "pretrain" else set()
    assert collected.other_code == files


@pytest.mark.parametrize("stage", ["pretrain", "extract", "evaluate"])
def test_an_edit_of_a_stages_code_marks_what_that_stage_made(
    stage: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert collect(PLAN, results, partial=False).other_code == ""
    monkeypatch.setattr(f"ddcl.report.collect.{stage}_digest", lambda *_: "of the edited code")
    found = collect(PLAN, results, partial=False)
    assert found.problems == []
    assert set(found.frames("t")[0]["code"]) == {OTHER_CODE}
    assert [run.other_code for run in found.runs] == [stage == "pretrain"] * len(PLAN.runs)
