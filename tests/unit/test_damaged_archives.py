"""Archives that are damaged, or made to do harm: one line, and nothing of them is left, wherever the import stopped."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pytest

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.plan.plan import read_plan
from ddcl.report.exchange import merge
from ddcl.report.exchange.archive import CHECKSUMS, export
from ddcl.report.exchange.merge import import_archive
from tests.unit import synthetic, written
from tests.unit.test_archive import DDCL, PLAN, RECORD, RUN, contents, repacked, site

__all__ = ["site"]  # a fixture
OTHER = PLAN.run("digits/simsiam/caug/seed1").folder
MANIFEST = f"{PLAN.data_folders[0]}/manifest.json"
Made = Callable[[Path, Path], Path]  # from the whole archive and a path, an archive that is wrong


def plan_with(**changes: Any) -> bytes:
    """A plan with values that no suite may have, sealed as if it were one."""
    content = json.loads(PLAN.text)
    content.pop("sha256")
    content |= changes
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return json.dumps(content | {"sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def run_with(**changes: Any) -> list[Any]:
    runs = json.loads(PLAN.text)["runs"]
    return [runs[0] | changes, *runs[1:]]


def bytes_of(change: Callable[[bytes], bytes]) -> Made:
    def made(whole: Path, path: Path) -> Path:
        path.write_bytes(change(whole.read_bytes()))
        return path

    return made


def flipped(place: float) -> Made:
    def change(old: bytes) -> bytes:
        at = int(place * (len(old) - 1))
        return old[:at] + bytes([old[at] ^ 0x10]) + old[at + 1 :]

    return bytes_of(change)


def cut(place: float) -> Made:
    return bytes_of(lambda old: old[: int(place * len(old))])


def with_files(changes: dict[str, bytes | None]) -> Made:
    return lambda whole, path: repacked(whole, path, changes)


def entry(change: Callable[[ZipInfo], None], name: str = "extra", content: bytes = b"x") -> Made:
    """An archive with a further entry that is no plain file."""

    def made(whole: Path, path: Path) -> Path:
        repacked(whole, path, {})
        own = ZipInfo(name)
        change(own)
        with ZipFile(path, "a") as archive:
            archive.writestr(own, content)
        return path

    return made


def link(own: ZipInfo) -> None:
    own.external_attr = (stat.S_IFLNK | 0o777) << 16


def folder(own: ZipInfo) -> None:
    own.external_attr = (stat.S_IFDIR | 0o777) << 16


def bomb(whole: Path, path: Path) -> Path:
    repacked(whole, path, {})
    with ZipFile(path, "a", ZIP_DEFLATED) as archive:
        archive.writestr("tables/bomb.csv", bytes(10**8))
    return path


def enormous(whole: Path, path: Path) -> Path:
    """The size of the record is said to be 3 GB in both headers."""
    content, said = repacked(whole, path, {}).read_bytes(), None
    with ZipFile(path) as archive:
        said = archive.getinfo(RECORD).file_size.to_bytes(4, "little")
    path.write_bytes(content.replace(said + said, b"\xff\xff\xff\xbf" * 2))
    return path


def encrypted(whole: Path, path: Path) -> Path:
    content = bytearray(repacked(whole, path, {}).read_bytes())
    with ZipFile(path) as archive:
        at = content.rindex(RECORD.encode()) - 46  # of the entry in the directory at the end
        assert archive.getinfo(RECORD).flag_bits == 0
    content[at + 8] |= 1
    path.write_bytes(bytes(content))
    return path


def twice(whole: Path, path: Path) -> Path:
    repacked(whole, path, {})
    with ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(RECORD, b"{}")
    return path


def text(name: str, content: bytes) -> dict[str, bytes | None]:
    return {name: content}


BAD: dict[str, Made] = {
    **{f"cut at {place}": cut(place) for place in (0, 0.1, 0.5, 0.9, 0.99)},
    **{f"bit at {place:.3f}": flipped(place) for place in np.random.default_rng(0).random(16)},
    "no zip": bytes_of(lambda old: b"PK\x03\x04 and no more"),
    "zeros": bytes_of(lambda old: bytes(len(old))),
    "a zip in a zip": with_files({"tables/inner.zip": b"PK\x05\x06" + bytes(18)}),
    "a link": entry(link, f"{OTHER}/on/digits/knn-12345678/knn.json", b"/etc/passwd"),
    "a folder": entry(folder, "runs/digits"),
    "a folder by name": entry(lambda own: None, "runs/digits/", b""),
    "a bomb": bomb,
    "an enormous record": enormous,
    "encrypted": encrypted,
    "a name twice": twice,
    **{
        f"name {name!r}": with_files({name: b"x"})
        for name in ("../x", "/x", "runs/../../x", "a\\b", "C:x", "a\nb", "x" * 300)
    },
    "a name of no run": with_files({f"{RUN}/evil.sh": b"x"}),
    "a name that the plan lacks": with_files({"tables/other.csv": b"x"}),
    "a run that the plan lacks": with_files({f"{RUN.replace('seed0', 'seed9')}/config.json": b"{}"}),
    "no checksums": with_files({}),
    "no plan": with_files({"suite.json": None}),
    **{
        f"plan {content[:9]!r}": with_files(text("suite.json", content))
        for content in (b"", b"[]", b"{}", b"\xff", b"[" * 10**5)
    },
    **{
        f"plan with {key} {value!r}"[:60]: with_files(text("suite.json", plan_with(**{key: value})))
        for key, value in (
            ("tables", ["/home/u/x"]),
            ("tables", {"/home/u/x": json.loads(PLAN.text)["tables"]["knn"]}),
            ("tables", {"../../x": json.loads(PLAN.text)["tables"]["knn"]}),
            ("figures", {"a/b": {"caption": "c", "alt": "a"}}),
            ("figures", {"nosuch": {"caption": "c", "alt": "a"}}),
            ("suite", "../x"),
            ("suite", "a\nb"),
            ("data", {"../digits": "0" * 16}),
            ("data", {"digits": "../../../etc"}),
            ("data", {}),
            ("evaluations", {}),
            ("metrics", {}),
            ("runs", run_with(variant="../ddcl")),
            ("runs", run_with(arm_digest="/../../../x")),
            ("runs", run_with(seed=-1)),
            ("runs", run_with(method="nosuch")),
            ("title", 3),
        )
    },
    **{
        f"{Path(name).name} {content[:9]!r}": with_files(text(name, content))
        for name in (RECORD, f"{RUN}/run.json", f"{RUN}/config.json", MANIFEST)
        for content in (b"", b"null", b"[]", b'{"schema": 3}', b"\xff\xfe")
    },
    "history of nothing": with_files({f"{RUN}/history.csv": b""}),
    "predictions of nothing": with_files({RECORD.replace(".json", "_predictions.npz"): b"PK"}),
    "records without a training": with_files({f"{RUN}/run.json": None}),
    "a run without a recipe": with_files({f"{RUN}/config.json": None}),
}


@pytest.fixture(params=["where nothing is", "beside other runs"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder that is not there, in one that is; or results in which one run of the archive's ten is missing."""
    if request.param == "beside other runs":
        written.write_results(PLAN.changed(runs=PLAN.runs[1:]), tmp_path / "in/results", synthetic.value)
    else:
        (tmp_path / "in").mkdir()
    return tmp_path / "in/results"


def everything(place: Path) -> dict[str, bytes]:
    found = contents(place)
    return found | {f"{path.relative_to(place)}/": b"" for path in place.rglob("*") if path.is_dir()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate")
def test_of_a_bad_archive_nothing_is_left(site: Path, results: Path, tmp_path: Path) -> None:
    before, accepted = everything(tmp_path / "in"), []
    assert len(BAD) >= 50
    for name, make in BAD.items():
        path = make(site / "a.zip", tmp_path / "bad.zip")
        if name == "no checksums":
            with ZipFile(site / "a.zip") as whole, ZipFile(path, "w") as bare:
                [bare.writestr(each, whole.read(each)) for each in whole.namelist() if each != CHECKSUMS]
        said = refused(path, results)
        if said:
            assert str(path) in said, name
            assert everything(tmp_path / "in") == before, name
            continue
        accepted.append(name)
        again = tmp_path / "again" / "results"
        import_archive(site / "a.zip", again)
        here, there = contents(results), contents(again)
        assert all(here[file] == content for file, content in there.items() if file != "suite.json"), name
        _back(tmp_path / "in", before)
    print(len(BAD), "archives, accepted as they say nothing else:", accepted)
    assert all(name.startswith("bit at") for name in accepted)


def refused(path: Path, results: Path) -> str:
    """Import an archive; return why it was refused, if it was."""
    try:
        import_archive(path, results)
    except UserError as error:
        return str(error)
    return ""


def _back(place: Path, before: dict[str, bytes]) -> None:
    """Delete what was not there."""
    for path in sorted(place.rglob("*"), reverse=True):
        name = str(path.relative_to(place))
        if path.is_file() and name not in before:
            path.unlink()
        elif path.is_dir() and f"{name}/" not in before:
            path.rmdir()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), PermissionError(13, "x")]
)
def test_a_move_that_fails_is_taken_back(
    error: BaseException, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[Path] = []

    def rename(source: Path, target: Path) -> None:
        if len(moved) == 20:
            raise error
        moved.append(target)
        os.replace(source, target)

    monkeypatch.setattr(merge, "rename", rename)
    with pytest.raises(type(error)):
        import_archive(site / "a.zip", tmp_path / "in/results")
    assert moved
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["runs", "data", f"{RUN}"])
def test_a_file_in_the_place_of_a_folder(place: str, site: Path, tmp_path: Path) -> None:
    path = tmp_path / "results" / place
    path.parent.mkdir(parents=True)
    path.write_text("a file")
    before = everything(tmp_path)
    with pytest.raises((UserError, OSError)):
        import_archive(site / "a.zip", tmp_path / "results")
    assert everything(tmp_path) == before


def test_the_next_commands_are_named(site: Path, tmp_path: Path) -> None:
    merged = import_archive(site / "a.zip", tmp_path / "r")
    assert merged.next_commands(tmp_path / "r").startswith(f"ddcl collect --results {tmp_path / 'r'} && ddcl table")
    assert read_plan(tmp_path / "r") == PLAN
    other = written.plan()
    sealed.write(tmp_path / "q/suite.json", other)
    commands = import_archive(site / "a.zip", tmp_path / "q").next_commands(Path("results"))
    assert commands.startswith("ddcl resolve --suite synthetic && ddcl collect --partial &&")


def test_what_is_damaged_or_left_over_is_not_exported(tmp_path: Path) -> None:
    results = tmp_path / "results"
    written.write_results(PLAN, results, synthetic.value)
    (results / "tables").mkdir()
    (results / "tables/of_another_suite.csv").write_text("x")
    (results / OTHER / "run.json").unlink()
    export(results, tmp_path / "a.zip", checkpoints=False)
    with ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
    assert "tables/of_another_suite.csv" not in names
    assert [name for name in names if name.startswith(OTHER)] == [f"{OTHER}/config.json"]
    import_archive(tmp_path / "a.zip", tmp_path / "in")
    (results / DDCL.folder / "history.csv").write_text("")
    with pytest.raises(UserError, match=r"nothing was exported; 1 problems:\n.*history\.csv: damaged"):
        export(results, tmp_path / "b.zip", checkpoints=False)
    assert not (tmp_path / "b.zip").exists()
