"""`ddcl snapshot`: from the folder alone the claims are judged again, to the same tables."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.plan.plan import KEPT, PAGE, Plan, write_plan
from ddcl.plan.suite import Suite
from ddcl.render import render_claims
from ddcl.report.claims.claim_tables import FRAMES
from ddcl.report.collect import collect
from ddcl.report.exchange.compare import read_side
from ddcl.report.exchange.snapshot import write_snapshot
from tests.unit import written

SUITE = {
    **{name: written.SUITE[name] for name in ("suite", "title", "description", "draws", "random_subsets")},
    "runs": [written.BLOCK | {"perturbations": ["none", "color", "color_rotate"], "seeds": [0, 1, 2]}],
    "claims": ["C2", "C4", "C5", "C6"],
    "figures": ["robustness"],
    "pictures": ["views"],
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


def test_the_page_links_only_to_files_of_the_snapshot(snapshot: Path) -> None:
    page = snapshot / PAGE
    links = set(re.findall(r'href="(\.\./[^"#]+)', page.read_text(encoding="utf-8")))
    assert {"../records.parquet", "../tables/claims.csv"} <= links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_it_shows_no_image_of_a_data_set(snapshot: Path) -> None:
    assert (snapshot / "figures/robustness.png").exists()
    assert PLAN.pictures
    assert not [path.name for path in (snapshot / "figures").glob("views*")]
    page = (snapshot / PAGE).read_text(encoding="utf-8")
    assert "was not drawn" not in page
    assert "views_digits" not in page


def test_a_snapshot_of_another_version_is_to_be_made_again(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(snapshot, tmp_path / "copy")
    text = (copy / "suite.json").read_text(encoding="utf-8")
    write_text(copy / "suite.json", re.sub(r'"schema": ?\d+', f'"schema":{Plan.SCHEMA - 1}', text))
    assert main(["claims", "--results", str(copy)]) == 2
    assert f"this version reads {Plan.SCHEMA}; run `ddcl snapshot` again" in capsys.readouterr().err


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
    of_runs = {name.rpartition("/")[2] for name in files if name.startswith("runs/")}
    assert of_runs == {"config.json"}
    assert sum(name.startswith("runs/") for name in files) == 4  # arms
    assert len(read_side(snapshot).cells)


def test_the_same_results_give_the_same_bytes(whole: Path, snapshot: Path, tmp_path: Path) -> None:
    write_snapshot(whole, tmp_path)
    assert (tmp_path / KEPT).read_bytes() == (snapshot / KEPT).read_bytes()


def test_an_earlier_snapshot_is_replaced_but_for_its_readme(whole: Path, snapshot: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(snapshot, tmp_path / "copy")
    (copy / "README.md").write_text("mine")
    (copy / "tables/old.csv").write_text("old")
    written_now = write_snapshot(whole, copy)
    assert (copy / "README.md").read_text() == "mine"
    assert sorted(written_now.files) == sorted(
        path for path in copy.rglob("*") if path.is_file() and path != copy / "README.md"
    )
    assert (written_now.records, written_now.expected) == (12, 12)


def test_a_snapshot_can_be_copied_from_a_snapshot(snapshot: Path, tmp_path: Path) -> None:
    write_snapshot(snapshot, tmp_path / "mine")
    assert (tmp_path / "mine" / KEPT).read_bytes() == (snapshot / KEPT).read_bytes()


@pytest.mark.parametrize("there", ["runs/a", "tables/mine.tex", "suite.json"])
def test_nothing_else_is_replaced(whole: Path, tmp_path: Path, there: str) -> None:
    write_text(tmp_path / there, "mine")
    with pytest.raises(UserError, match="has files that `ddcl snapshot` did not make; name an empty or a new folder"):
        write_snapshot(whole, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / there]


def test_results_and_files_are_no_place_for_a_snapshot(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has files that"):
        write_snapshot(whole, whole)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file: is a file; name a folder"):
        write_snapshot(whole, tmp_path / "file")


@pytest.mark.parametrize("change", ["remove", "damage"])
def test_predictions_that_the_tables_are_not_of_change_nothing(
    whole: Path, snapshot: Path, tmp_path: Path, change: str
) -> None:
    results, copy = shutil.copytree(whole, tmp_path / "results"), shutil.copytree(snapshot, tmp_path / "copy")
    for path in results.rglob("*_predictions.npz"):
        path.unlink() if change == "remove" else path.write_bytes(b"")
    with pytest.raises(UserError, match="other claims than its tables" if change == "remove" else "cannot be read"):
        write_snapshot(results, copy)
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == {
        path.name: path.read_bytes() for path in snapshot.iterdir() if path.is_file()
    }


def test_a_snapshot_follows_no_other_plan(snapshot: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(snapshot, tmp_path / "copy")
    for follow in (lambda: write_plan(PLAN, copy), lambda: collect(PLAN, copy, partial=True)):
        with pytest.raises(UserError, match="is a snapshot"):
            follow()
    assert (copy / "records.parquet").exists()


def test_one_missing_file_leaves_the_groups_of_the_others(whole: Path, tmp_path: Path) -> None:
    results = shutil.copytree(whole, tmp_path / "results")
    sorted(results.rglob("*_predictions.npz"))[0].unlink()
    render_claims(results)
    methods = pd.read_csv(results / "tables/claim_comparisons.csv")["ci_method"]
    assert methods.str.contains("groups").any()
    assert not methods.str.startswith("seeds and images").any()


def test_what_is_not_made_yet_is_named(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "results")
    (copy / "report/index.html").unlink()
    with pytest.raises(UserError, match=r"report/index\.html is missing; run `snakemake` for suite t first"):
        write_snapshot(copy, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("content", [b"", b"no frame", None])
def test_a_damaged_file_is_named(snapshot: Path, tmp_path: Path, content: bytes | None) -> None:
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
    with pytest.raises(UserError, match=r"correctness\.parquet: .*gives .*, its record .*; get the snapshot again"):
        render_claims(copy)
