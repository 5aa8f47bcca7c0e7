"""`ddcl import`: records of another site, checked and put beside the own ones, or nothing at all."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zlib
from collections import Counter
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import canonical_json, read_json, write_atomic
from ddcl.plan.addresses import ADDRESSED
from ddcl.plan.plan import FILE as PLAN
from ddcl.plan.plan import WHAT, Plan
from ddcl.report.exchange.adopt import adopt
from ddcl.report.exchange.archive import CHECKSUMS

# What is taken over: the files of the runs, and the manifests of the data that they were trained and tested on. All
# else is made from them, here as there.
TAKEN = re.compile(
    rf"runs/[^/]+/[^/]+/{ADDRESSED}/seed\d+/"
    rf"(config\.json|run\.json|history\.csv|checkpoint\.pt|on/[^/]+/{ADDRESSED}/[^/]+(\.json|_predictions\.npz))"
    rf"|data/{ADDRESSED}/manifest\.json"
)
EARLIER = re.compile(r"runs/[^/]+/[^/]+/[^/]+/seed\d+/config\.json")  # of any version: the address may lack a digest
CHUNK = 1 << 20


class Merged(NamedTuple):
    """How many files were new, how many were here already, and what is wrong with any of the results now."""

    new: int
    same: int
    problems: tuple[str, ...]


def import_archive(path: Path, results: Path) -> Merged:
    """Take the runs of an archive over into `results`, and its plan where there is none.

    Every file is checked against the archive's checksums first. A file that is here with another content is a conflict:
    a `UserError` names all, and nothing is written. What is taken over is then checked like a copy (`adopt`).
    """
    try:
        archive = ZipFile(path)
    except (OSError, BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as an archive of `ddcl export` ({error})") from None
    with archive:
        sums = checked(archive, path)
        names = [name for name in sums if TAKEN.fullmatch(name)]
        if not (results / PLAN).exists():
            sealed.parse(archive.read(PLAN).decode(), Plan, Path(f"{path}: {PLAN}"), (WHAT, "ddcl export"))
            names.append(PLAN)
        here = {name for name in names if (results / name).exists()}
        changed = [name for name in sorted(here) if _digest(results / name) != sums[name]]
        conflicts = [_conflict(archive, name, results) for name in changed]
        if conflicts:
            told = "".join(f"\n  {line}" for line in conflicts)
            raise UserError(f"{path}: nothing was written; conflicts with {results}: {len(conflicts)}{told}")
        for name in names:
            if name not in here:
                write_atomic(results / name, partial(_extract, archive, name))
    new = len(names) - len(here)
    return Merged(new, len(here), tuple(adopt(results).problems) if new else ())


def checked(archive: ZipFile, path: Path) -> dict[str, str]:
    """Return the sha256 of each file of an archive, by name, after checking all; `UserError` if one is wrong."""
    names = archive.namelist()
    strange = [name for name in names if not _is_safe(name)]
    strange += [f"{name} twice" for name, n in Counter(names).items() if n > 1]
    if any(EARLIER.fullmatch(name) and not TAKEN.fullmatch(name) for name in names):
        raise UserError(
            f"{path}: an archive of an earlier version, whose addresses this one does not use; nothing was written"
        )
    strange += [name for name in names if name.startswith("runs/") and not TAKEN.fullmatch(name)]
    if strange or CHECKSUMS not in names:
        told = ", ".join(map(repr, strange)) or f"no {CHECKSUMS}"
        raise UserError(f"{path}: is no archive of `ddcl export`: it has {told}")
    lines = archive.read(CHECKSUMS).decode().splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    wrong = [f"{name}: has no checksum" for name in names if name not in {*sums, CHECKSUMS}]
    wrong += [f"{name}: missing" for name in sums if name not in names]
    for name in sums.keys() & set(names):
        try:
            with archive.open(name) as handle:
                found = _stream_digest(handle)
        except (BadZipFile, zlib.error, EOFError):
            found = ""
        if found != sums[name]:
            wrong.append(f"{name}: is not what its checksum says")
    if wrong:
        raise UserError(f"{path}: damaged; nothing was written:\n  " + "\n  ".join(sorted(wrong)))
    return sums


def _is_safe(name: str) -> bool:
    """Return whether a name stays below the folder that it is extracted to, on any system."""
    pure = PurePosixPath(name)
    return not (pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or name != str(pure))


def _conflict(archive: ZipFile, name: str, results: Path) -> str:
    """Return in what a file that is here differs from the archive's."""
    if not name.endswith(".json"):
        return f"{name}: another content"
    here, there = read_json(results / name, "JSON file"), json.loads(archive.read(name))
    return f"{name}: {_difference(here, there) or 'another layout'}"


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


def _extract(archive: ZipFile, name: str, target: Path) -> None:
    with archive.open(name) as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out, CHUNK)


def _digest(path: Path) -> str:
    with open(path, "rb") as handle:
        return _stream_digest(handle)


def _stream_digest(handle: IO[bytes]) -> str:
    sha = hashlib.sha256()
    while chunk := handle.read(CHUNK):
        sha.update(chunk)
    return sha.hexdigest()
