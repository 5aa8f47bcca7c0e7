"""Whose plan results show (the clock), which copied results are whole (adopt), and what no plan uses (unused)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.plan.addresses import cost_folder
from ddcl.plan.clock import clock_path, set_clock
from ddcl.plan.plan import Plan, write_plan
from ddcl.plan.suite import Suite
from ddcl.plan.unused import delete, unused
from ddcl.report.exchange.adopt import adopt
from ddcl.schema.recipes import data_recipe
from tests.unit import made_run

BLOCK = {"datasets": ["digits"], "variants": ["ddcl"], "augmentations": ["caug"], "seeds": [0]}
SUITE = {"suite": "a", "title": "t", "description": "t", "runs": [BLOCK], "evaluations": ["knn"]}


def planned(name: str, epochs: int) -> Plan:
    """The plan of a suite of one run."""
    block = BLOCK | {"overrides": {"epochs": epochs}}
    return Suite(SUITE | {"suite": name, "perturbations": ["none"], "runs": [block]}, "t.yaml").plan


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of results, in the folder that Snakemake is started in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_the_clock_is_new_unless_its_own_plan_is_shown(results: Path) -> None:
    a, b = planned("a", 20), planned("b", 30)
    assert set_clock(a, results) == ""  # nothing is shown
    first = clock_path(a).read_text()
    assert first
    write_plan(a, results)
    assert set_clock(a, results) == ""
    assert clock_path(a).stat().st_mtime == 0
    assert clock_path(a).read_text() == first
    inode = clock_path(a).stat().st_ino
    assert set_clock(a, results) == ""
    assert clock_path(a).stat().st_ino == inode
    os.utime(clock_path(a), (1e9, 1e9))
    set_clock(a, results)  # another user's file is replaced: only its owner could set its time
    assert (clock_path(a).stat().st_mtime, clock_path(a).read_text()) == (0, first)
    assert clock_path(a).stat().st_ino != inode
    os.utime(results / "suite.json", (4e9, 4e9))
    told = set_clock(b, results)
    assert told == f"{results}/ shows suite a; this is b (1 of 1 runs to train); tables and page will be remade"
    assert clock_path(b).stat().st_mtime > 4e9
    again = clock_path(b).read_text()
    set_clock(b, results)
    assert clock_path(b).read_text() != again
    (results / "suite.json").unlink()
    set_clock(a, results)
    assert clock_path(a).stat().st_mtime > 0
    assert clock_path(a).read_text() not in ("", first)


def test_another_plan_takes_what_was_made_from_the_former_one_with_it(results: Path) -> None:
    a, b = planned("a", 20), planned("b", 30)
    write_plan(a, results)
    (results / "tables").mkdir()
    write_plan(a, results)
    assert (results / "tables").exists()
    write_plan(b, results)
    assert not (results / "tables").exists()


def test_used_is_what_any_plan_names_also_one_that_was_imported(results: Path) -> None:
    a, b = planned("a", 20), planned("b", 30)
    with pytest.raises(UserError, match="no plan there; without one everything would look unused"):
        unused(results)
    sealed.write(results / "suite.json", a)  # as an import does
    for plan in (a, b):
        for name in (f"{plan.runs[0].folder}/run.json", f"{cost_folder(plan.runs[0].folder)}/pretrain.json"):
            (results / name).parent.mkdir(parents=True)
            (results / name).write_text("1234")
    of_b = {b.runs[0].folder: 4, cost_folder(b.runs[0].folder): 4}
    assert unused(results).folders == of_b
    write_plan(b, results)
    assert unused(results).folders == {}
    assert [plan.suite for plan in unused(results).plans] == ["a", "b"]
    write_plan(a, results)
    next((results / "plans").glob("b-*")).unlink()
    delete(unused(results), results)
    assert unused(results).folders == {}
    assert (results / a.runs[0].folder / "run.json").exists()
    assert not (results / b.runs[0].folder).parent.exists()


def test_whole_runs_get_one_time_and_the_others_are_named(results: Path) -> None:
    manifest = made_run.write_data(results)
    whole, damaged = (made_run.write_run(results, manifest, seed) for seed in (0, 1))
    (damaged / "history.csv").write_text("epoch\n")
    for number, path in enumerate(sorted(path for path in results.rglob("*") if path.is_file())):
        os.utime(path, (2e9 - number, 2e9 - number))
    adopted = adopt(results)
    assert (adopted.datasets, adopted.runs) == (1, 1)
    assert len(adopted.problems) == 1
    assert adopted.problems[0].startswith(f"{damaged / 'history.csv'}: damaged, edited, or of another run")
    assert len({path.stat().st_mtime for path in whole.rglob("*")}) == 1
    assert len({path.stat().st_mtime for path in damaged.rglob("*")}) > 1


def test_a_data_set_that_was_prepared_in_two_ways(results: Path) -> None:
    """A run is held against the preparation that its recipe names."""
    manifest = made_run.write_data(results)
    made_run.write_run(results, manifest)
    other = manifest.model_copy(
        update={"data": data_recipe("digits").model_copy(update={"image_side_px": manifest.data.image_side_px + 1})}
    )
    sealed.write(results / f"data/digits-{other.data.digest[:8]}" / "manifest.json", other)
    adopted = adopt(results)
    assert adopted.problems == []
    assert (adopted.datasets, adopted.runs) == (2, 1)
