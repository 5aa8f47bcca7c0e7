"""`ddcl adopt`: what is whole gets one time; what is not is named and keeps its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ddcl.__main__ import main
from ddcl.report.exchange.adopt import adopt
from tests.unit.made_run import ARRAYS, LINEAR, manifest_of, run_of, write_two_runs

OLDEST, TABLE = 1_000_000_000, "tables/knn.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = write_two_runs(tmp_path_factory.mktemp("made"))
    (results / TABLE).parent.mkdir()
    (results / TABLE).write_text("a table")
    return results


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy, with the times of its copying: what is made of something else is older than that."""
    results = shutil.copytree(made, tmp_path / "results")
    for age, path in enumerate(sorted(results.rglob("*"), reverse=True)):
        os.utime(path, (OLDEST + age, OLDEST + age))
    return results


def times(folder: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime for path in (folder, *folder.rglob("*"))}


def of_whole(results: Path, *seeds: int) -> set[float]:
    folders = [manifest_of(results).parent, *(run_of(results, seed) for seed in seeds)]
    return {time for folder in folders for time in times(folder).values()}


def test_whole_results_get_one_time_and_tables_keep_theirs(results: Path) -> None:
    oldest = min(path.stat().st_mtime for path in results.rglob("*") if path.is_file())
    table = (results / TABLE).stat().st_mtime
    assert len(of_whole(results, 0, 1)) > 10
    found = adopt(results)
    assert (found.datasets, found.runs, found.problems) == (1, 2, [])
    assert of_whole(results, 0, 1) == {oldest}
    assert (results / TABLE).stat().st_mtime == table >= oldest


FIRST = {"features": f"{ARRAYS}/train.npy", "record": LINEAR, "history": "history.csv", "checkpoint": "checkpoint.pt"}


@pytest.mark.parametrize("what", FIRST)
def test_a_damaged_run_is_named_and_keeps_its_times(what: str, results: Path) -> None:
    path = run_of(results) / FIRST[what]
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    before = times(run_of(results))
    found = adopt(results)
    assert (found.datasets, found.runs) == (1, 1)
    assert any(line.startswith(f"{path}: ") for line in found.problems), found.problems
    assert times(run_of(results)) == before
    assert len(of_whole(results, 1)) == 1


def test_a_run_at_the_address_of_another_recipe_is_named(results: Path) -> None:
    arm = run_of(results).parent
    moved = arm.rename(arm.with_name("caug-00000000"))
    before = times(moved)
    found = adopt(results)
    assert found.runs == 0
    assert all("its address says 00000000" in line for line in found.problems)
    assert len(found.problems) == 2
    assert times(moved) == before


def test_a_damaged_data_set_is_named_and_keeps_its_times(results: Path) -> None:
    path = manifest_of(results)
    path.write_text(path.read_text().replace("0.1", "0.2", 1))
    before = times(path.parent)
    found = adopt(results)
    assert found.datasets == 0
    assert found.problems[0].startswith(f"{path}: manifest is damaged or edited")
    assert times(path.parent) == before


def test_a_run_that_was_not_finished_is_left_alone(results: Path) -> None:
    (run_of(results) / "run.json").unlink()
    before = times(run_of(results))
    found = adopt(results)
    assert (found.runs, found.problems) == (1, [])
    assert times(run_of(results)) == before


def test_the_verb(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_of(results) / "history.csv").write_text("epoch\n")
    assert main(["adopt", "--results", str(results)]) == 0
    output = capsys.readouterr()
    assert output.out == f"{results}: 1 data sets and 1 runs are intact, 1 problems\n"
    assert "history.csv: damaged, edited, or of another run" in output.err
