"""`ddcl clean --unused`: what no plan names is found and deleted; what any names stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.plan.addresses import cost_folder
from ddcl.plan.plan import Plan, write_plan
from ddcl.plan.unused import delete, describe, unused
from tests.unit import synthetic

PLAN = synthetic.with_recipes(synthetic.suite())
OTHER = synthetic.altered(PLAN, {"arm_digest": "ab" * 8}, variant="ddcl", augmentation="caug").changed(suite="other")
RUN, OTHERS = (plan.run("digits/ddcl/caug/seed0") for plan in (PLAN, OTHER))
STRAY = [
    "data/digits-00000000",
    "logs/digits/ddcl/caug-00000000/seed0",
    "costs/digits/ddcl/caug-00000000/seed0",
    "runs/digits/ddcl/caug/seed0",  # of an earlier version
    f"{PLAN.run('digits/simsiam/baug/seed0').folder}/on/digits/features-00000000",
    f"{PLAN.run('digits/simsiam/baug/seed0').folder}/on/digits/knn-00000000",
]


def fill(results: Path, plan: Plan) -> None:
    """Write one file in the place of each thing that a plan names."""
    for folder in plan.data_folders:
        write_text(results / folder / "manifest.json", "m")
    for run in plan.runs:
        write_text(results / run.folder / "run.json", "r")
        write_text(results / run.log("pretrain"), "l")
        write_text(results / cost_folder(run.folder) / "pretrain.json", "c")
        for target in run.targets:
            write_text(results / run.record(target), "t")
            write_text(results / str(run.features(target)) / "features.json", "f")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two plans, the second of which is shown, and of none."""
    for plan in (PLAN, OTHER):
        write_plan(plan, tmp_path)
        fill(tmp_path, plan)
    for name in STRAY:
        write_text(tmp_path / name / "deep/file", "12345")
    write_text(tmp_path / "tables/knn.csv", "made from the plan")
    return tmp_path


def files(results: Path) -> set[str]:
    return {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}


def test_what_no_plan_names_is_unused_and_nothing_else(results: Path) -> None:
    found = unused(results)
    assert found.folders == dict.fromkeys(STRAY, 5)
    assert (found.bytes, {plan.suite for plan in found.plans}) == (30, {"synthetic", "other"})
    before = files(results)
    delete(found, results)
    assert before - files(results) == {f"{name}/deep/file" for name in STRAY}
    assert not (results / "runs/digits/ddcl/caug").exists()  # it was left empty
    assert unused(results).folders == {}


def test_what_only_one_plan_uses_is_unused_without_that_plan(results: Path) -> None:
    write_plan(PLAN, results)
    (results / "plans" / f"other-{OTHER.digest}.json").unlink()
    found = unused(results)
    assert {OTHERS.folder, f"logs/{OTHERS.folder.removeprefix('runs/')}"} <= set(found.folders)
    assert RUN.folder not in found.folders
    assert not [name for name in found.folders if name.startswith(f"{OTHERS.folder}/")]  # not once more in parts
    text = describe(found, results)
    assert f"{results / OTHERS.folder}" in text
    assert f"that none of these plans uses: synthetic-{PLAN.digest}" in text


def test_without_a_whole_plan_nothing_is_unused(results: Path) -> None:
    path = results / "plans" / f"other-{OTHER.digest}.json"
    path.write_text(path.read_text().replace("other", "others", 1))
    with pytest.raises(UserError, match="plan is damaged or edited"):
        unused(results)
    for each in (results / "plans").iterdir():
        each.unlink()
    assert unused(results).plans == [OTHER]  # what is shown is used
    (results / "suite.json").unlink()
    with pytest.raises(UserError, match="no plan there; without one everything would look unused"):
        unused(results)


def test_the_verb_deletes_only_what_it_was_told_to(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(results)
    assert main(["clean", "--unused", "--results", str(results)]) == 2  # nobody to ask
    assert "nothing was deleted; add --yes" in capsys.readouterr().err
    assert files(results) == before
    assert main(["clean", "--unused", "--yes", "--results", str(results)]) == 0
    assert "deleted 6 folders" in capsys.readouterr().out
    assert len(before) - len(files(results)) == 6
