"""Locks: only one process at a time writes to a folder; a second one reports the first and ends."""

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

    This is a POSIX record lock: the kernel releases it when its process ends for any reason, so a lock is never stale.
    Children that outlive the process (workers that decode images) do not keep it, as they would with flock. It works
    across nodes if the file system supports such locks (NFS 4, Lustre mounted with `flock`, GPFS). The file is never
    removed: otherwise a third process could lock a new file while the second still waits to open the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise TemporaryError(f"{what}: {holder} is writing it ({path}); wait for it, or stop it first") from None
        except OSError as error:
            print(f"{path}: no file locks here ({error.strerror}); a second process will go unnoticed", file=sys.stderr)
        job = slurm_job_id()
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {platform.node()}{f', Slurm job {job}' if job else ''}\n")
        handle.flush()
        yield
