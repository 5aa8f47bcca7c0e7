"""Getting a data set: an existing copy first, then its archives, by downloads that can be interrupted and go on."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ddcl.core.errors import UserError
from ddcl.data.source import Request

CHUNK_BYTES = 2**20
TIMEOUT_S = 60


@dataclass(frozen=True)
class Archive:
    """A file of a data set on its own site. extract: unpack it where it lies."""

    url: str
    md5: str
    extract: bool = True

    @property
    def name(self) -> str:
        """File name."""
        return self.url.rsplit("/", 1)[-1]


def file_md5(path: Path) -> str:
    """Return the md5 of a file: what the data sets' sites publish."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()


def check_md5(path: Path, expected: str, advice: str) -> None:
    """Raise `UserError` naming the file unless its md5 is the expected one."""
    found = file_md5(path)
    if found != expected:
        raise UserError(f"{path}: damaged (md5 {found}, expected {expected}); {advice}")


def fetch(archive: Archive, folder: Path) -> Path:
    """Return the archive's file in `folder`, whole and checked; download what is missing of it.

    The download goes to NAME.part and resumes where it stopped. Raises `UserError` where the network or the checksum
    says no.
    """
    path = folder / archive.name
    if path.exists():
        check_md5(path, archive.md5, "delete it and run the command again")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        _download(archive.url, part)
    except (OSError, EOFError) as error:  # URLError and HTTPError are OSErrors
        kept = f"{part.stat().st_size} bytes are kept" if part.exists() else "nothing was kept"
        raise UserError(
            f"{archive.url}: download failed ({error}); {kept}, the same command goes on; or put the file into {folder}"
        ) from None
    try:
        check_md5(part, archive.md5, "it was deleted; run the command again")
    except UserError:
        part.unlink()
        raise
    part.replace(path)
    return path


def _download(url: str, part: Path) -> None:
    """Append to `part` what it lacks of `url`; start over where the server does not resume."""
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
        total = int(length) + (start if resumed else 0) if length else None
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
    """Make sure that `unpacked` is there: as it is, or out of archives that lie beside it or are downloaded to there.

    A marker beside it tells an unpacking that was interrupted from one that ended. Raises `UserError` that says what to
    get, from where, and into which folder.
    """
    place = unpacked.parent
    marker = place / f".{unpacked.name}.unpacking"
    if unpacked.exists() and not marker.exists():
        return
    if not (request.download or all((place / archive.name).exists() for archive in archives)):
        missing(request, unpacked, [archive.name for archive in archives])
    from torchvision.datasets.utils import extract_archive

    paths = [fetch(archive, place) for archive in archives]
    marker.touch()
    for archive, path in zip(archives, paths, strict=True):
        if archive.extract:
            with damaged_is_named(path):
                extract_archive(str(path), str(place))
    marker.unlink()


def missing(request: Request, folder: Path, names: Sequence[str] = ()) -> None:
    """Raise the `UserError` of a data set that is not there."""
    looked = " or ".join(map(str, [folder, *(folder.parent / name for name in names)]))
    how = request.obtain or "run `ddcl prepare` without --no-download, or put the files there"
    raise UserError(f"data set {request.dataset}: not found (looked for {looked}); get it: {how}")


@contextmanager
def damaged_is_named(path: Path) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into a `UserError` that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: damaged or incomplete ({error}); delete it and run the command again") from None
