"""`ddcl import`: runs of another site, checked and put beside the own ones, or nothing at all."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddcl.base.errors import UserError
from ddcl.base.files import canonical_json, file_sha256, read_json, rename
from ddcl.base.folders import temporary_folder
from ddcl.plan.plan import FILE as PLAN
from ddcl.plan.plan import Plan, check_no_snapshot, read_plan
from ddcl.report.exchange.adopt import adopt
from ddcl.report.exchange.unpack import TAKEN, unpack


@dataclass(frozen=True)
class Merged:
    """How many files were new, how many were here already, and what is wrong with any of the results now.

    plan: of the archive's suite. shown: the suite that the results show.
    """

    new: int
    same: int
    problems: tuple[str, ...]
    plan: Plan
    shown: Plan

    def next_commands(self, results: Path) -> str:
        """Return the commands that make tables and page of the archive's suite."""
        whole = all((results / run.record(target)).is_file() for run in self.plan.runs for target in run.targets)
        verbs = [f"resolve --suite {self.plan.suite}"] * (self.plan.digest != self.shown.digest)
        verbs += ["collect" if whole else "collect --partial", "table"]
        verbs += ["claims"] * bool(self.plan.claims) + ["figure"] * bool(self.plan.figures) + ["report"]
        option = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
        return " && ".join(f"ddcl {verb}{option}" for verb in verbs)


def import_archive(path: Path, results: Path) -> Merged:
    """Take the runs of an archive over into `results`, and its plan where there is none.

    A snapshot takes none over. All of the archive is checked first, in a folder that is deleted again (`unpack`). A
    file that is here with another content is a conflict: a `UserError` names all. After any error nothing of the
    archive is in `results`. What is taken over is then checked like a copy (`adopt`).
    """
    check_no_snapshot(results)
    with temporary_folder(_existing(results) / "import") as folder:
        sums = unpack(path, folder)
        names = [name for name in sums if TAKEN.fullmatch(name)]
        names += [] if (results / PLAN).exists() else [PLAN]
        here = {name for name in names if (results / name).exists()}
        conflicts = [
            _conflict(folder / name, results / name, name)
            for name in sorted(here)
            if not (results / name).is_file() or file_sha256(results / name) != sums[name]
        ]
        if conflicts:
            told = "".join(f"\n  {line}" for line in conflicts)
            raise UserError(f"{path}: nothing was written; conflicts with {results}: {len(conflicts)}{told}")
        plan = read_plan(folder)
        shown = read_plan(results) if (results / PLAN).exists() else plan
        _move(folder, results, [name for name in names if name not in here])
    new = len(names) - len(here)
    return Merged(new, len(here), tuple(adopt(results).problems) if new else (), plan, shown)


def _existing(results: Path) -> Path:
    """Return the results folder, or the nearest folder above it that is there: what is below shares its file system."""
    for folder in (results, *results.absolute().parents):
        if folder.exists():
            if not folder.is_dir():
                raise UserError(f"{folder}: is a file where a folder is needed; nothing was written")
            return folder
    raise UserError(f"{results}: none of its parent folders exists; nothing was written")


def _move(source: Path, results: Path, names: Iterable[str]) -> None:
    """Move files into the results folder; if one cannot be moved, or the user ends it, take back all."""
    made: list[Path] = []
    try:
        for name in names:
            target = results / name
            for folder in reversed([folder for folder in target.parents if not folder.exists()]):
                folder.mkdir()
                made.append(folder)
            made.append(target)
            rename(source / name, target)
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _conflict(there: Path, here: Path, name: str) -> str:
    """Return in what a file that is here differs from the archive's."""
    if not here.is_file():
        return f"{name}: not a file"
    if not name.endswith(".json"):
        return f"{name}: different content"
    difference = _difference(read_json(here, "JSON file"), read_json(there, "JSON file"))
    return f"{name}: {difference or 'different layout'}"


def _difference(here: Any, there: Any, key: str = "") -> str:
    """Return the first difference of two JSON values: ``training.epochs 24, in the archive 50``."""
    if isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        here, there = (dict(enumerate(values)) for values in (here, there))
    if isinstance(here, dict) and isinstance(there, dict):
        for name in [*here, *(name for name in there if name not in here)]:
            found = _difference(here.get(name), there.get(name), f"{key}.{name}" if key else str(name))
            if found:
                return found
        return ""
    texts = [canonical_json(value) for value in (here, there)]
    return "" if texts[0] == texts[1] else f"{key} {texts[0][:60]}, in the archive {texts[1][:60]}"
