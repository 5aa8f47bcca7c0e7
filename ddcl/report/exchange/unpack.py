"""An archive of `ddcl export`, checked: names, sizes, checksums, and what its files say; then, and not before, used.

Whoever made it may have made it wrong on purpose: nothing is written but below the folder that is given, and nothing of
a name that this version does not give a result.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from ddcl.base import sealed
from ddcl.base.errors import UserError, check_name
from ddcl.plan.addresses import ADDRESSED, check_address
from ddcl.plan.plan import FILE as PLAN
from ddcl.plan.plan import WHAT, Plan
from ddcl.report.exchange.adopt import check
from ddcl.report.exchange.archive import CHECKSUMS, CRATE, archived
from ddcl.schema import run_summary
from ddcl.schema.figures import WORDS
from ddcl.schema.names import NAME
from ddcl.schema.pictures import DRAWINGS
from ddcl.schema.plugins import Registry
from ddcl.schema.recipes import load_recipe
from ddcl.schema.registry import EVALUATIONS, METHODS

# What is taken over: the files of the runs, and the manifests of the data that they were trained and tested on. All
# else is made from them, here as there.
TAKEN = re.compile(
    rf"runs/{NAME}/{NAME}/{ADDRESSED}/seed\d+/"
    rf"(config\.json|run\.json|history\.csv|checkpoint\.pt|on/{NAME}/{ADDRESSED}/{NAME}(\.json|_predictions\.npz))"
    rf"|data/{ADDRESSED}/manifest\.json"
)
EARLIER = re.compile(r"runs/[^/]+/[^/]+/[^/]+/seed\d+/config\.json")  # of any version: the address may lack a digest
RECIPE = "config.json"
ENCRYPTED = 0x1  # of an entry's flags
MOST_RATIO = 200  # bytes unpacked for each byte of an archive: records, the most repetitive of all files, have 30
CHUNK = 1 << 20


def unpack(path: Path, folder: Path, whole: bool = False) -> dict[str, str]:
    """Write what is taken over of an archive, and its plan, below `folder`; return the sha256 of each file by name.

    whole: also write what was made of it: collected files, tables, figures and the page. All of it is checked.
    `UserError` where anything is not as it should be; what was written by then is left to the caller to remove.
    """
    with _readable(path):
        archive = ZipFile(path)
    with archive:
        entries = {entry.filename: entry for entry in _entries(archive, path)}
        written = {name for name in entries if whole or name == PLAN or TAKEN.fullmatch(name)}
        _check_size(path, entries, written, folder)
        with _readable(path):
            lines = archive.read(CHECKSUMS).decode().splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        wrong = [f"{name}: has no checksum" for name in entries if name not in {*sums, CHECKSUMS}]
        wrong += [f"{name}: missing" for name in sums if name not in entries]
        wrong += [
            f"{name}: does not match its checksum"
            for name in sums.keys() & entries.keys()
            if _taken(archive, entries[name], folder if name in written else None) != sums[name]
        ]
    if wrong:
        raise UserError(f"{path}: damaged; nothing was written:\n  " + "\n  ".join(sorted(wrong)))
    _check_plan(path, folder, entries)
    problems = [problem.replace(f"{folder}/", "") for problem in (*check(folder).problems, *_unfinished(folder))]
    if problems:
        raise UserError(f"{path}: its files do not belong together; nothing was written:\n  " + "\n  ".join(problems))
    return sums


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of whatever reading an archive raises that it cannot be read."""
    try:
        yield
    except Exception as error:  # of a damaged one, zipfile raises nearly anything: struct.error, OverflowError, …
        reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise UserError(
            f"{path}: cannot be read as an archive of `ddcl export` ({reason[:200]}); nothing was written"
        ) from None


def _entries(archive: ZipFile, path: Path) -> list[ZipInfo]:
    """Return the entries of an archive; `UserError` if any is none of `ddcl export`."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    strange = [repr(name) for name in names if not _is_safe(name)]
    strange += [f"{name!r} twice" for name, n in Counter(names).items() if n > 1]
    strange += [f"{entry.filename!r}, which is not a regular file" for entry in entries if not _is_plain(entry)]
    if any(EARLIER.fullmatch(name) and not TAKEN.fullmatch(name) for name in names):
        raise UserError(
            f"{path}: an archive of an earlier version, whose addresses this one does not use; nothing was written"
        )
    strange += [repr(name) for name in names if name.startswith(("runs/", "data/")) and not TAKEN.fullmatch(name)]
    strange += [f"no {name}" for name in (CHECKSUMS, PLAN) if name not in names]
    if strange:
        raise UserError(f"{path}: is not an archive of `ddcl export`: it has {_some(strange)}; nothing was written")
    return entries


def _is_safe(name: str) -> bool:
    """Return whether a name stays below the folder that it is extracted to, on any system, and can be shown."""
    pure = PurePosixPath(name)
    leads = pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or name != str(pure)
    return not leads and name.isprintable() and max(map(len, pure.parts), default=0) < 200


def _is_plain(entry: ZipInfo) -> bool:
    """Return whether an entry is a file, as it is: no link, folder or device, and not encrypted."""
    return stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG) and not entry.flag_bits & ENCRYPTED


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"


def _check_size(path: Path, entries: dict[str, ZipInfo], written: set[str], folder: Path) -> None:
    """Raise `UserError` for an archive that unpacks to more than the disk holds, or than an honest one can."""
    total, packed = sum(entry.file_size for entry in entries.values()), path.stat().st_size
    if total > MOST_RATIO * packed:
        raise UserError(
            f"{path}: {packed} bytes unpack to {total}, at most {MOST_RATIO} for each are allowed; nothing was written"
        )
    needed = sum(entries[name].file_size for name in written)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{path}: needs {needed} bytes, {folder.parent} has {free} free; nothing was written")


def _taken(archive: ZipFile, entry: ZipInfo, folder: Path | None) -> str:
    """Return the sha256 of an entry, after writing it below `folder`, if one is given; nothing if it is damaged."""
    if folder is None:
        return _copied(_pieces(archive, entry), None)
    target = folder / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as out:
        digest = _copied(_pieces(archive, entry), out)
        out.flush()
        os.fsync(out.fileno())
    return digest


def _pieces(archive: ZipFile, entry: ZipInfo) -> Iterator[bytes | None]:
    """Yield the content of an entry piece by piece; at last None, if it is damaged."""
    try:
        with archive.open(entry) as handle:
            while piece := handle.read(CHUNK):
                yield piece
    except Exception:  # as in `_readable`
        yield None


def _copied(pieces: Iterator[bytes | None], out: IO[bytes] | None) -> str:
    """Write the pieces to `out`, if there is one; return their sha256, nothing if they are damaged."""
    sha = hashlib.sha256()
    for piece in pieces:
        if piece is None:
            return ""
        sha.update(piece)
        if out:
            out.write(piece)
    return sha.hexdigest()


def _unfinished(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the runs below `folder` that have no run.json: of those there is a recipe alone."""
    for run in sorted(folder.glob("runs/*/*/*/seed*")):
        if not (run / run_summary.FILE).exists():
            yield from (f"{path}: without {run_summary.FILE}" for path in run.rglob("*.*") if path.name != RECIPE)
            try:
                check_address(run, load_recipe(run / RECIPE))
            except UserError as error:
                yield str(error)


def _check_plan(path: Path, folder: Path, names: Iterable[str]) -> None:
    """Raise `UserError` if the archive's plan is none that this version can follow, or does not name all its files."""
    with _readable(path):
        text = (folder / PLAN).read_bytes().decode()
    plan = sealed.parse(text, Plan, Path(f"{path}: {PLAN}"), (WHAT, "ddcl export"))
    strange = sorted(set(names) - {CHECKSUMS, CRATE, *archived(plan, checkpoints=True)})
    if strange:
        raise UserError(
            f"{path}: is not an archive of `ddcl export`: its plan does not name {_some(strange)}; nothing was written"
        )
    targets = [target for run in plan.runs for target in run.targets]
    used: dict[str, tuple[Iterable[str], Iterable[str]]] = {
        "method": ([run.method for run in plan.runs], METHODS),
        "protocol": ([each.protocol for each in plan.evaluations.values()], EVALUATIONS),
        "evaluation": ([target.evaluation for target in targets], plan.evaluations),
        "data set": ([*(run.dataset for run in plan.runs), *(target.eval_dataset for target in targets)], plan.data),
        "metric": ([metric for target in targets for metric in target.metrics], plan.metrics),
        "figure": (plan.figures, WORDS),
        "drawing": ([picture.drawing for picture in plan.pictures], DRAWINGS),
        "run": ([name for picture in plan.pictures for name in picture.runs], plan.by_name),
    }
    for kind, (found, known) in used.items():
        for name in found:
            if isinstance(known, Registry):
                known.check(name, f"{path}: {PLAN}")
            else:
                check_name(kind, name, known, f"{path}: {PLAN}")
