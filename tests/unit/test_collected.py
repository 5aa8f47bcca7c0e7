"""What was collected is read whole, or not at all: any flipped byte, and files of another plan, are refused."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.plan.plan import FILE, read_plan, write_plan
from ddcl.report.collect import FILES, RUNS, collect
from ddcl.report.collected import Collected
from tests.unit import synthetic, written

PLAN = synthetic.with_recipes(synthetic.suite())
PLACES = 40  # of a file in which a bit is flipped


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    written.write_results(PLAN, results, synthetic.value)
    collect(PLAN, results, partial=False)
    return results


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    """A copy of the collected files, to be damaged."""
    for name in (*FILES, RUNS, FILE):
        shutil.copy(whole / name, tmp_path / name)
    return tmp_path


def refused(results: Path) -> str:
    with pytest.raises(UserError) as error:
        Collected.load(results)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_whole_files_are_read(results: Path) -> None:
    found = Collected.load(results)
    assert found.plan == PLAN
    assert len(found.records) == 72
    assert [each.run.name for each in found.runs] == [run.name for run in PLAN.runs]
    assert found.seal


@pytest.mark.parametrize(
    ("name", "maker"), [*((name, "ddcl collect") for name in (*FILES, RUNS)), (FILE, "ddcl resolve")]
)
def test_every_flipped_bit_is_refused_in_one_line(name: str, maker: str, results: Path) -> None:
    path, draw = results / name, random.Random(name)
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // PLACES)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :])
        line = refused(results)
        assert line.startswith(f"{path}: "), place
        assert f"`{maker}`" in line
    path.write_bytes(content)
    Collected.load(results)
    path.unlink()
    assert refused(results).startswith(f"{path}: missing")


def test_files_of_another_plan_are_refused(results: Path) -> None:
    write_text(results / FILE, PLAN.changed(title="another title").text)
    line = refused(results)
    assert line.startswith(f"{results / RUNS}: collected for suite synthetic (plan {PLAN.digest}), ")
    assert line.endswith("; run `ddcl collect` again")


def test_another_plan_takes_away_what_was_made_from_the_one_before(results: Path) -> None:
    write_plan(PLAN, results)
    Collected.load(results)
    other = PLAN.changed(title="another title")
    write_plan(other, results)
    assert read_plan(results) == other
    assert refused(results) == f"{results / RUNS}: missing list of collected runs; `ddcl collect` makes it"


@pytest.mark.parametrize("name", FILES)
def test_a_frame_of_another_collection_is_refused(name: str, results: Path) -> None:
    other = results / "other"
    written.write_results(PLAN, other, lambda run, perturbation, part: 0.5)
    collect(PLAN, other, partial=False)
    shutil.copy(other / name, results / name)
    assert refused(results).startswith(f"{results / name}: damaged or edited (its sha256 is not the one in runs.json)")
