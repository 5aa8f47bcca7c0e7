"""One process at a time in a folder that is written to; the second one is told who is there, and ends."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddcl.base.errors import TemporaryError
from ddcl.base.provenance import slurm_job_id


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` while `what` is written; `TemporaryError` if another process holds it.

    A POSIX record lock: the kernel releases it when its process ends, however that happens, so a lock is never stale,
    and children that outlive it (workers that decode images) do not keep it, as they would with flock. It holds between
    nodes where the file system has such locks (NFS 4, Lustre mounted with `flock`, GPFS). The file stays: removing it
    would let a third process lock a new one while the second still waits to open the old.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise TemporaryError(f"{what}: {holder} is writing it ({path}); wait for it or end it first") from None
        except OSError as error:
            print(f"{path}: no locks here ({error.strerror}); a second process would not be noticed", file=sys.stderr)
        job = slurm_job_id()
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {platform.node()}{f', Slurm job {job}' if job else ''}\n")
        handle.flush()
        yield
