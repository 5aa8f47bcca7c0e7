"""What one site exports, another can check, merge and make the same tables from; conflicts change nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pandas as pd
import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.files import read_json, write_json
from ddcl.plan.plan import KEPT, read_plan
from ddcl.render import render_tables
from ddcl.report.collect import collect
from ddcl.report.exchange.archive import CHECKSUMS, CRATE, export
from ddcl.report.exchange.compare import read_side
from ddcl.report.exchange.merge import import_archive
from tests.unit import synthetic, written

PLAN = synthetic.with_recipes(synthetic.suite(tables=("knn",)))
DDCL = PLAN.run("digits/ddcl/baug/seed0")
RUN = DDCL.folder
RECORD = synthetic.record_of(PLAN, "digits/ddcl/baug/seed0", "knn")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one site, with an archive of them beside."""
    folder = tmp_path_factory.mktemp("site")
    written.write_results(PLAN, folder / "results", synthetic.value)
    own = [f"{RUN}/{name}" for name in ("checkpoint.pt", "work/resume.pt")]
    summary = folder / "results" / RUN / "run.json"
    digest = hashlib.sha256(own[0].encode()).hexdigest()
    written.change_summary(summary, checkpoint_sha256=digest)
    for name in ("tables/knn.csv", "report/index.html", *own):
        (folder / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "results" / name).write_text(name)
    export(folder / "results", folder / "a.zip", checkpoints=False)
    return folder


@pytest.fixture
def other(site: Path, tmp_path: Path) -> Path:
    """A copy of the site's results, to be changed."""
    return shutil.copytree(site / "results", tmp_path / "results")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def repacked(source: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """Write an archive with other contents, and right checksums for them; None leaves a file out."""
    with ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != CHECKSUMS} | changes
    kept = {name: content for name, content in files.items() if content is not None}
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in kept.items())
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for name, content in (kept | {CHECKSUMS: lines.encode()}).items():
            archive.writestr(name, content)
    return target


def test_what_is_in_an_archive(site: Path, tmp_path: Path) -> None:
    with ZipFile(site / "a.zip") as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    assert {RECORD, RECORD.replace(".json", "_predictions.npz"), f"{RUN}/config.json", f"{RUN}/history.csv"} <= names
    assert f"{PLAN.data_folders[0]}/manifest.json" in names
    assert {"suite.json", "tables/knn.csv", "report/index.html", CHECKSUMS, CRATE} <= names
    assert not any("checkpoint" in name or "work" in name for name in names)
    done = subprocess.run(["sha256sum", "-c", "--quiet", CHECKSUMS], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    crate = {entity["@id"]: entity for entity in read_json(tmp_path / CRATE, "crate")["@graph"]}
    parts = {part["@id"] for part in crate["./"]["hasPart"]}
    assert parts == names - {CHECKSUMS, CRATE}
    for name in parts:
        assert crate[name]["contentSize"] == str((tmp_path / name).stat().st_size)
        assert crate[name]["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert crate["./"]["description"] == "Made-up numbers. 20 of 20 records."
    assert crate["#ddcl"]["softwareVersion"] == ["f" * 40]


def test_the_same_files_give_the_same_bytes(site: Path, tmp_path: Path) -> None:
    export(site / "results", tmp_path / "b.zip", checkpoints=False)
    assert (tmp_path / "b.zip").read_bytes() == (site / "a.zip").read_bytes()


def test_checkpoints_only_if_asked_for(site: Path, tmp_path: Path) -> None:
    export(site / "results", tmp_path / "b.zip", checkpoints=True)
    with ZipFile(tmp_path / "b.zip") as archive:
        assert archive.read(f"{RUN}/checkpoint.pt") == f"{RUN}/checkpoint.pt".encode()


def test_a_partial_suite_says_so_and_an_empty_one_is_refused(other: Path, tmp_path: Path) -> None:
    (other / RECORD).unlink()
    packed = export(other, tmp_path / "b.zip", checkpoints=False)
    assert (packed.records, packed.expected) == (19, 20)
    shutil.rmtree(other / "runs")
    with pytest.raises(UserError, match="nothing to export"):
        export(other, tmp_path / "c.zip", checkpoints=False)
    assert not (tmp_path / "c.zip").exists()


def test_another_site_makes_the_same_tables(tmp_path: Path) -> None:
    plan = written.plan()
    written.write_results(plan, tmp_path / "a/results")
    for name in ("a", "b"):
        results = tmp_path / name / "results"
        if name == "b":
            merged = import_archive(tmp_path / "a.zip", results)
            assert merged.same == 0
        collect(read_plan(results), results, partial=False)
        render_tables([], results)
        if name == "a":
            export(results, tmp_path / "a.zip", checkpoints=False)
    tables = [contents(tmp_path / name / "results/tables") for name in ("a", "b")]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4 * len(plan.tables)


def test_two_sites_share_a_suite(site: Path, tmp_path: Path) -> None:
    """One did seed 0, the other seed 1; each has the whole plan."""
    for seed in (0, 1):
        results = shutil.copytree(site / "results", tmp_path / f"seed{seed}")
        for folder in results.glob(f"runs/*/*/*/seed{1 - seed}"):
            shutil.rmtree(folder)
    export(tmp_path / "seed1", tmp_path / "seed1.zip", checkpoints=False)
    with pytest.raises(UserError, match="problems"):
        collect(PLAN, tmp_path / "seed0", partial=False)
    merged = import_archive(tmp_path / "seed1.zip", tmp_path / "seed0")
    assert merged.new == 5 * (3 + 2 * 2)  # runs · (recipe, summary, history, two records with predictions)
    assert collect(PLAN, tmp_path / "seed0", partial=False).problems == []


def test_what_is_here_already_is_left_alone(site: Path, other: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in other.rglob("*") if path.is_file()}
    assert import_archive(site / "a.zip", other).new == 0
    assert before == {path: path.stat().st_mtime_ns for path in other.rglob("*") if path.is_file()}


def test_all_conflicts_are_named_and_nothing_is_written(site: Path, other: Path) -> None:
    record = read_json(other / RECORD, "record")
    record["cells"][0]["value"] = 0.123
    write_json(other / RECORD, record)
    recipe = read_json(other / RUN / "config.json", "recipe")
    recipe["training"]["epochs"] = 99
    write_json(other / RUN / "config.json", recipe)
    (other / RUN / "history.csv").write_text("epoch\n")
    shutil.rmtree(other / "runs/digits/simsiam")
    before = contents(other)
    with pytest.raises(UserError, match=r"conflicts with .*: 3\n") as error:
        import_archive(site / "a.zip", other)
    assert contents(other) == before
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 3
    assert lines[0].strip() == f"{RUN}/config.json: training.epochs 99, in the archive 36"
    assert lines[1].strip() == f"{RUN}/history.csv: different content"
    assert lines[2].strip() == f"{RECORD}: cells.0.value 0.123, in the archive 0.9"


def test_an_archive_of_an_earlier_version_is_refused(site: Path, tmp_path: Path) -> None:
    archive = repacked(site / "a.zip", tmp_path / "b.zip", {"runs/digits/ddcl/baug/seed0/config.json": b"{}"})
    with pytest.raises(UserError, match="archive of an earlier version"):
        import_archive(archive, tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil", "runs/../../evil", "a\\b", "C:evil", f"{RUN}/evil.sh"])
def test_names_that_lead_elsewhere_are_refused(name: str, site: Path, tmp_path: Path) -> None:
    archive = repacked(site / "a.zip", tmp_path / "b.zip", {name: b"evil"})
    with pytest.raises(UserError, match="is not an archive of `ddcl export`"):
        import_archive(archive, tmp_path / "in/results")
    assert not (tmp_path / "in").exists()


def test_damage_is_named(site: Path, tmp_path: Path) -> None:
    with ZipFile(site / "a.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files[RECORD] = files[RECORD].replace(b"0.9", b"0.8", 1)
    del files[f"{RUN}/history.csv"]
    with ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, content in (files | {"new.json": b"{}"}).items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match="damaged; nothing was written") as error:
        import_archive(tmp_path / "b.zip", tmp_path / "results")
    assert f"{RECORD}: does not match its checksum" in str(error.value)
    assert f"{RUN}/history.csv: missing" in str(error.value)
    assert "new.json: has no checksum" in str(error.value)
    assert not (tmp_path / "results").exists()


def test_the_verbs(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--results", str(site / "results")]) == 0
    assert "synthetic.zip: 74 files, 20 of 20 records of the suite" in capsys.readouterr().out
    assert main(["import", "synthetic.zip"]) == 0
    assert "72 files new in results, 0 were here already" in capsys.readouterr().out
    (tmp_path / "results" / RECORD).write_text("{}")
    assert main(["import", "synthetic.zip"]) == 2
    assert "nothing was written; conflicts with results: 1" in capsys.readouterr().err


def test_a_flipped_bit_is_named(site: Path, tmp_path: Path) -> None:
    content = bytearray((site / "a.zip").read_bytes())
    with ZipFile(site / "a.zip") as archive:
        entry = archive.getinfo(RECORD)
    content[entry.header_offset + 30 + len(RECORD) + entry.compress_size // 2] ^= 1
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(UserError, match=f"damaged; nothing was written:\\n  {RECORD}: does not match"):
        import_archive(tmp_path / "b.zip", tmp_path / "results")


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("no zip")
    for name in ("a.zip", "b.zip"):
        with pytest.raises(UserError, match="cannot be read as an archive"):
            import_archive(tmp_path / name, tmp_path / "results")
    with ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("a.json", json.dumps({}))
    with pytest.raises(UserError, match=f"it has no {CHECKSUMS}"):
        import_archive(tmp_path / "c.zip", tmp_path / "results")


def test_a_snapshot_takes_no_runs_over(site: Path, other: Path) -> None:
    (other / KEPT).write_text("")
    before = contents(other)
    with pytest.raises(UserError, match="is a snapshot"):
        import_archive(site / "a.zip", other)
    assert contents(other) == before


def test_an_archive_without_collected_records_is_named(site: Path) -> None:
    with pytest.raises(UserError, match=r"a\.zip: has no collected records; run `ddcl collect` where it was made"):
        read_side(site / "a.zip")


def test_an_archive_repeats_the_folder_that_it_was_made_of(other: Path, tmp_path: Path) -> None:
    collect(PLAN, other, partial=True)
    export(other, tmp_path / "c.zip", checkpoints=False)
    folder, packed = read_side(other), read_side(tmp_path / "c.zip")
    assert len(folder.cells)
    pd.testing.assert_frame_equal(folder.cells, packed.cells)
