"""Atomic file writing: a reader sees either the old file or the new one, never a partial one."""

from __future__ import annotations

import errno
import glob
import hashlib
import io
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ddcl.base.errors import UserError, explained

if TYPE_CHECKING:
    from numpy.typing import NDArray


STALE_SECONDS = 86400


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary)`` and rename the result to `path`.

    The temporary file lies beside `path`, so the rename stays on one file system. If the disk is full or
    the file cannot be written for another reason, raises a `UserError` that names it; the previous `path` is unchanged
    and the temporary file is removed.
    """
    temporary = temporary_path(path)
    with writing_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path)
        try:
            write(temporary)
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            rename(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def writing_explained(path: Path) -> Iterator[None]:
    """Turn an error while writing `path` into a `UserError` that names it and says that the old file is unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(path) from error
        own = error.filename is None or str(error.filename) in map(str, (path, path.parent, temporary_path(path)))
        reason = (error.strerror or error) if own else explained(error)
        raise UserError(f"{path}: cannot be written ({reason}); nothing was replaced") from error
    except RuntimeError as error:  # torch.save reports a failed write as RuntimeError, without an errno
        if shutil.disk_usage(path.parent).free >= 1 << 20:
            raise
        raise _disk_full(path) from error


def temporary_path(path: Path) -> Path:
    """Return the temporary path for writing `path`: in the same folder, named after this process."""
    return path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp{path.suffix}")


def rename(source: Path, target: Path) -> None:
    """Rename `source` to `target` in the same folder, durably: it stays renamed if the machine crashes."""
    os.replace(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_stale(path: Path) -> None:
    """Remove temporary files of `path` left by dead processes on this node, and any that are a day old."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp{path.suffix}"):
        node, _, process = stale.name.removeprefix(f".{path.name}.").removesuffix(f".tmp{path.suffix}").rpartition(".")
        with suppress(FileNotFoundError):  # another process removed it first
            old = time.time() - stale.stat().st_mtime > STALE_SECONDS
            if old or (node == platform.node() and process.isdecimal() and not alive(int(process))):
                remove(stale)


def alive(process: int) -> bool:
    """Return whether a process with this number is running on this node."""
    if not 0 < process < 2**31:  # not process numbers: kill would give them another meaning, or fail
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _disk_full(path: Path) -> UserError:
    free = shutil.disk_usage(path.parent).free
    return UserError(f"{path}: cannot be written, the disk is full ({free} bytes free); nothing was replaced")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write one valid JSON object (no NaN), with sorted keys, atomically."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return the text of a JSON file: the same for equal values."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a numpy array as .npy, atomically."""
    import numpy as np

    write_atomic(path, lambda temporary: np.save(temporary, array))


class ArrayWriter:
    """Writes a .npy file chunk by chunk, so that the whole array is never in memory; atomic like `write_atomic`.

    A context manager: a normal exit puts the file in place, an error removes the partial file.
    shape, dtype: of the whole array. digest: sha256 of the file, set once it is in place.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.temporary = temporary_path(path)
        self.rows, self.digest, self._sha = 0, "", hashlib.sha256()

    def __enter__(self) -> ArrayWriter:
        import numpy as np

        header = io.BytesIO()
        description = {"descr": np.dtype(self.dtype).str, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(header, description)
        with writing_explained(self.path):
            remove_stale(self.path)
            self._file = open(self.temporary, "wb")
        self._put(header.getvalue())
        return self

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows, converted to the array's type."""
        self.rows += len(rows)
        self._put(rows.astype(self.dtype).tobytes())

    def _put(self, data: bytes) -> None:
        self._sha.update(data)
        with writing_explained(self.path):
            self._file.write(data)

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        try:
            if kind is None:
                if self.rows != self.shape[0]:
                    raise ValueError(f"{self.path}: {self.rows} rows were written, expected {self.shape[0]}")
                with writing_explained(self.path):
                    self._file.flush()
                    os.fsync(self._file.fileno())
                rename(self.temporary, self.path)
                self.digest = self._sha.hexdigest()
        finally:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                self.temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def no_number(name: str) -> NoReturn:
    """Reject NaN and infinities, which Python reads although JSON does not allow them."""
    raise ValueError(f"{name} is not a valid JSON number")


def read_json(path: Path, what: str) -> Any:
    """Read the JSON file `path`; `what` names it in the error ("record", "manifest", …)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=no_number)
    except FileNotFoundError:
        raise UserError(f"{path}: missing {what}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot read {what} ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, or of a number of more digits than Python reads
        raise UserError(f"{path}: {what} is not valid JSON ({error}); delete it and run again") from None


@contextmanager
def damage_named(path: Path, what: str, advice: str) -> Iterator[None]:
    """Turn any error of reading `path` into a `UserError` that says what the file is, what is wrong, and what to do."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: missing {what}; {advice}") from None
    except Exception as error:  # of a damaged file, libraries raise nearly anything: BadZipFile, zlib.error, KeyError …
        said = " ".join(str(error).split())[:200] or type(error).__name__
        reason = error.strerror if isinstance(error, OSError) and error.strerror else said
        raise UserError(f"{path}: {what} cannot be read ({reason}); {advice}") from None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file; `UserError` if it cannot be read."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path}: missing") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def digest_text(text: str) -> str:
    """Return the first 16 hex digits of the sha256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of `value`, used for digests and `params`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
