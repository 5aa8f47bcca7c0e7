"""Collecting: every expected cell is a row, and whatever is missing, doubled or stale is named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ddcl.base.errors import UserError
from ddcl.base.files import read_json, write_json
from ddcl.report.collect import collect
from ddcl.schema.tables import RUN
from tests.unit import synthetic, written

PLAN = synthetic.suite()
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


def edit(path: Path, **changes: Any) -> None:
    record = read_json(path, "record")
    for name, value in changes.items():
        if name in record["provenance"]:
            record["provenance"][name] = value
        else:
            record[name] = value
    write_json(path, record)


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
    assert list(histories.columns) == [*RUN, "epoch", "seconds", "knn_top1"]
    assert len(read_json(results / "runs.json", "runs")) == len(PLAN.runs)


RECORD = synthetic.record_of(PLAN, "digits/ddcl/caug/seed1", "knn")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (None, "missing record"),
        ({"recipe_digest": "other"}, "stale, its recipe_digest is other"),
        ({"checkpoint_digest": "other"}, "stale, its checkpoint_digest is other"),
        ({"code_digest": "other"}, "stale, its code_digest is other"),
        ({"evaluation": {"evaluation": "knn"}}, "stale, evaluated with other settings"),
        ({"cells": []}, "missing cell (part full, perturbation none, metric top1)"),
    ],
)
def test_a_bad_record_is_named_and_its_cells_are_missing(
    changes: dict[str, Any] | None, expected: str, results: Path
) -> None:
    path = results / RECORD
    if changes is None:
        path.unlink()
    else:
        edit(path, **changes)
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
    cells = read_json(results / RECORD, "record")["cells"]
    edit(results / RECORD, cells=[*cells, cells[0]])
    with pytest.raises(UserError, match="duplicate cell"):
        collect(PLAN, results, partial=False)


def test_a_missing_run_is_named_once_and_marked(results: Path) -> None:
    shutil.rmtree(results / PLAN.run("digits/simsiam/baug/seed0").folder)
    found = collect(PLAN, results, partial=True)
    assert len(found.problems) == 3  # the run, and its two records
    runs = read_json(results / "runs.json", "runs")
    assert [run["status"] for run in runs].count("missing") == 1


def test_a_diverged_run_is_no_problem_and_has_no_values(results: Path) -> None:
    for name in PLAN.evaluations:
        path = results / synthetic.record_of(PLAN, "digits/simsiam/baug/seed0", name)
        cells = [cell | {"value": None, "n": 0} for cell in read_json(path, "record")["cells"]]
        edit(path, status="diverged", cells=cells)
    assert collect(PLAN, results, partial=False).problems == []
    records = pd.read_parquet(results / "records.parquet")
    bad = records[records["status"] == "diverged"]
    assert len(bad) == 4
    assert bad["value"].isna().all()
