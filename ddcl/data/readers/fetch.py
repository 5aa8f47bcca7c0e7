"""Obtains a data set: from an existing copy, from its archives, or by downloads that resume after interruptions."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from ddcl.base.errors import UserError
from ddcl.data.readers.source import Request

CHUNK_BYTES = 2**20
TIMEOUT_S = 60


@dataclass(frozen=True)
class Archive:
    """A file of a data set on its own site. extract: unpack it in its folder; otherwise it is used as it is."""

    url: str
    md5: str
    extract: bool = True

    @property
    def name(self) -> str:
        """File name."""
        return self.url.rsplit("/", 1)[-1]


def file_md5(path: Path) -> str:
    """Return the md5 of a file, which data sets' sites publish."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()


def check_md5(path: Path, expected: str, advice: str) -> None:
    """Raise `UserError` naming the file unless its md5 is the expected one."""
    found = file_md5(path)
    if found != expected:
        raise UserError(f"{path}: damaged (md5 {found}, expected {expected}); {advice}")


def fetch(archive: Archive, folder: Path) -> Path:
    """Return the archive's file in `folder`, complete and checked; download what is missing.

    The download is written to NAME.part and resumes where it stopped. Raises `UserError` if the download or the
    checksum fails.
    """
    path = folder / archive.name
    if path.exists():
        check_md5(path, archive.md5, "delete it and run the command again")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        _download(archive.url, part)
    except (OSError, EOFError, HTTPException) as error:  # URLError and HTTPError are OSErrors
        kept = f"{part.stat().st_size} bytes are kept" if part.exists() else "nothing was kept"
        raise UserError(
            f"{archive.url}: download failed ({error}); {kept}; run the command again, or put the file into {folder}"
        ) from None
    try:
        check_md5(part, archive.md5, "it was deleted; run the command again")
    except UserError:
        part.unlink()
        raise
    part.replace(path)
    return path


def _download(url: str, part: Path) -> None:
    """Append the missing bytes of `url` to `part`; start again if the server cannot resume."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send
            return
        raise
    with response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        known = length is not None and length.isascii() and length.isdigit() and len(length) < 19
        total = int(length) + (start if resumed else 0) if known else None
        with open(part, "ab" if resumed else "wb") as out:
            bar = tqdm(
                total=total, initial=start if resumed else 0, unit="B", unit_scale=True, desc=part.name, disable=None
            )
            with bar:
                while chunk := response.read(CHUNK_BYTES):
                    out.write(chunk)
                    bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise EOFError(f"the connection ended after {part.stat().st_size} of {total} bytes")


def obtain(request: Request, unpacked: Path, archives: Sequence[Archive]) -> None:
    """Make sure that `unpacked` exists; otherwise unpack archives beside it, after downloading them if necessary.

    Files beside it that are used without unpacking must exist too. A marker file shows that unpacking was interrupted.
    Raises a `UserError` that says what to get, from where, and into which folder.
    """
    place = unpacked.parent
    marker = place / f".{unpacked.name}.unpacking"

    def lacking() -> list[Archive]:
        packed = not unpacked.exists() or marker.exists()
        return [each for each in archives if (packed if each.extract else not (place / each.name).exists())]

    lost = [archive.name for archive in lacking() if not (place / archive.name).exists()]
    if lost and not request.download:
        if marker.exists():
            lost_paths = ", ".join(str(place / name) for name in lost)
            raise UserError(
                f"{unpacked}: unpacking was interrupted, and {lost_paths} no longer exists; get it again, or "
                f"delete {marker} if the folder is complete"
            )
        missing(request, place / lost[0] if unpacked.exists() else unpacked, lost)
    if not lacking():
        return
    from torchvision.datasets.utils import extract_archive

    with alone(place):
        needed = lacking()  # another `prepare` may have been first
        paths = [fetch(archive, place) for archive in needed]
        for archive, path in zip(needed, paths, strict=True):
            if archive.extract:
                marker.touch()
                with damaged_is_named(path):
                    extract_archive(str(path), str(place))
        marker.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other `prepare` fetches or unpacks in `folder`: imagenet and imagenet100 share one copy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".prepare.lock", os.O_CREAT | os.O_WRONLY)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error})") from None
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def missing(request: Request, folder: Path, names: Sequence[str] = ()) -> NoReturn:
    """Raise the `UserError` for a missing data set."""
    looked = " or ".join(dict.fromkeys(map(str, [folder, *(folder.parent / name for name in names)])))
    how = request.obtain or f"put the files there{'' if request.download else ', or leave out --no-download'}"
    raise UserError(f"data set {request.dataset}: not found (looked for {looked}); get it: {how}")


@contextmanager
def damaged_is_named(path: Path, whole: Path | None = None) -> Iterator[None]:
    """Turn any error of reading a damaged file into a `UserError` that names it.

    whole: the folder that must be unpacked again, if it is more than this file. A full disk, a missing permission or a
    lack of memory does not count as damage.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise UserError(f"{path}: cannot be read or unpacked ({error})") from None
        first = f"move {whole or path} away" if whole or path.is_dir() else "delete it"
        raise UserError(f"{path}: damaged or incomplete ({error}); {first} and run the command again") from None
