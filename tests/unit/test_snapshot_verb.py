"""`ddcl snapshot`: from the folder alone the claims are judged again, to the same tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.plan.suite import Suite
from ddcl.render import render_claims
from ddcl.report.claims.claim_tables import FRAMES
from ddcl.report.claims.correctness import KEPT
from ddcl.report.collect import collect
from ddcl.report.exchange.compare import read_side
from ddcl.report.exchange.snapshot import write_snapshot
from tests.unit import written

SUITE = {
    **{name: written.SUITE[name] for name in ("suite", "title", "description", "draws", "random_subsets")},
    "runs": [written.BLOCK | {"perturbations": ["none", "color", "color_rotate"], "seeds": [0, 1, 2]}],
    "claims": ["C2", "C4", "C5", "C6"],
}
PLAN = Suite(SUITE, "t.yaml").plan


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with judged claims; the other tables, figures and the page are stand-ins."""
    results = tmp_path_factory.mktemp("whole") / "results"
    written.write_results(PLAN, results, images=40)
    collect(PLAN, results, partial=True)
    for path in results.rglob("*_predictions.npz"):
        with np.load(path) as archive:
            np.savez_compressed(path, allow_pickle=False, **{**archive, "groups": np.arange(40) // 4})
    render_claims(results)
    for name in PLAN.made():
        if not (results / name).exists():
            write_text(results / name, name)
    return results


@pytest.fixture(scope="module")
def snapshot(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git") / "mine"
    write_snapshot(whole, folder)
    return folder


def test_the_claims_are_judged_again_from_the_folder_alone(whole: Path, snapshot: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(snapshot, tmp_path / "copy")
    shutil.rmtree(copy / "tables")
    assert main(["claims", "--results", str(copy)]) == 0
    for name in FRAMES:
        text = (copy / f"tables/{name}.csv").read_text()
        assert text == (whole / f"tables/{name}.csv").read_text()
    assert "40 images in 10 groups" in (copy / "tables/claim_comparisons.csv").read_text()


def test_without_the_correctness_of_images_intervals_are_over_seeds(snapshot: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(snapshot, tmp_path / "copy")
    (copy / KEPT).unlink()
    render_claims(copy)
    text = (copy / "tables/claim_comparisons.csv").read_text()
    assert "seeds (t)" in text
    assert "images in" not in text


def test_it_holds_no_run_and_nothing_that_can_be_made_again(snapshot: Path) -> None:
    files = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}
    assert {"suite.json", "runs.json", "records.parquet", "histories.parquet", KEPT, "report/index.html"} <= files
    assert {Path(name).suffix for name in files} <= {
        ".json",
        ".parquet",
        ".zip",
        ".csv",
        ".md",
        ".png",
        ".svg",
        ".html",
    }
    assert [name for name in files if name.endswith(".html")] == ["report/index.html"]
    assert not [name for name in files if name.startswith("runs/")]
    assert len(read_side(snapshot).cells)


def test_the_same_results_give_the_same_bytes(whole: Path, snapshot: Path, tmp_path: Path) -> None:
    write_snapshot(whole, tmp_path)
    assert (tmp_path / KEPT).read_bytes() == (snapshot / KEPT).read_bytes()


def test_files_of_other_names_stay(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    for name in ("README.md", "tables/old.csv"):
        (tmp_path / name).write_text(name)
    write_snapshot(whole, tmp_path)
    assert (tmp_path / "README.md").read_text() == "README.md"
    assert not (tmp_path / "tables/old.csv").exists()


def test_what_is_not_made_yet_is_named(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "results")
    (copy / "report/index.html").unlink()
    with pytest.raises(UserError, match=r"report/index\.html is missing; run `snakemake` first"):
        write_snapshot(copy, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_archive_is_named(snapshot: Path, tmp_path: Path, content: bytes | None) -> None:
    copy = shutil.copytree(snapshot, tmp_path / "copy")
    whole = (copy / KEPT).read_bytes()
    (copy / KEPT).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UserError, match=r"correctness\.parquet: correctness of images cannot be read"):
        render_claims(copy)


def test_correctness_of_other_runs_is_refused(snapshot: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(snapshot, tmp_path / "copy")
    frame = pd.read_parquet(copy / KEPT)
    bits = frame["total"] == 1
    frame.loc[bits, "counts"] = np.roll(frame.loc[bits, "counts"].to_numpy(), 1)
    frame.to_parquet(copy / KEPT)
    with pytest.raises(UserError, match=r"gives .*, its record"):
        render_claims(copy)
