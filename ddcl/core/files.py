"""Atomic file writing: a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddcl.core.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray


STALE_SECONDS = 86400


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary)`` and rename the result to `path`.

    The temporary file lies beside `path`, so the rename stays on one file system. A full disk is a `UserError`
    that names the file and what is left; the previous `path` is untouched and the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        rename(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full(path) from error
    except RuntimeError as error:  # torch.save reports a failed write as RuntimeError, without an errno
        if shutil.disk_usage(path.parent).free >= 1 << 20:
            raise
        raise _disk_full(path) from error
    finally:
        temporary.unlink(missing_ok=True)


def rename(source: Path, target: Path) -> None:
    """Rename `source` to `target` in the same folder, so that it stays renamed if the machine fails."""
    os.replace(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_stale(path: Path) -> None:
    """Remove what killed processes left of `path`: of dead ones on this node, and whatever is a day old."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp{path.suffix}"):
        node, _, process = stale.name.removeprefix(f".{path.name}.").removesuffix(f".tmp{path.suffix}").rpartition(".")
        with contextlib.suppress(FileNotFoundError):  # another process removed it first
            old = time.time() - stale.stat().st_mtime > STALE_SECONDS
            if old or (node == platform.node() and not _alive(int(process))):
                stale.unlink()


def _alive(process: int) -> bool:
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
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a numpy array as .npy, atomically."""
    import numpy as np

    write_atomic(path, lambda temporary: np.save(temporary, array))


def read_json(path: Path, what: str) -> Any:
    """Read the JSON file `path`; `what` names it in the error ("record", "manifest", …)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: missing {what}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {what} is not valid JSON ({error}); delete it and run again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot read {what} ({error.strerror})") from None


def digest_text(text: str) -> str:
    """Return the first 16 hex digits of the sha256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value` that digests and `params` are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
