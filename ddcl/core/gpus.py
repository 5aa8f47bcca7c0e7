"""Which GPU a process computes on, where a machine has several and no scheduler hands them out.

A process holds locks on files that are named after the GPU, for as long as it lives; however it ends, the kernel frees
them. A whole GPU is an exclusive lock on its file. Each of those that share one holds a shared lock on that file, and
the lock of a place, which is a file of its own. Who chooses holds the queue's lock, so any number of jobs may start at
once: they choose one after the other, and nobody overtakes the one that waits.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import torch

_held: list[int] = []  # descriptors of locked files: closing one would free its GPU


def gpu_given() -> str:
    """Return where the environment says that this job was given a GPU, such as ``SLURM_JOB_GPUS=0``; or nothing."""
    none = ("", "-1", "NoDevFiles")
    given = {name: os.environ.get(name, "") for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")}
    return next((f"{name}={value}" for name, value in given.items() if value not in none), "")


def use_free_gpu(places: int = 1) -> None:
    """Make a GPU that has room for this process the current one; wait until there is one.

    places: how many processes like this one may share a GPU; 1: it wants a GPU that no other process of this user has.
    Nothing is done where one GPU is visible, as in the job of a cluster, or where torchrun gives each rank its own.
    GPUs are known by their UUIDs, as CUDA_VISIBLE_DEVICES numbers them anew for each process.
    """
    if torch.cuda.device_count() > 1 and "LOCAL_RANK" not in os.environ:
        uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
        torch.cuda.set_device(take(uuids, Path(tempfile.gettempdir()) / f"ddcl-gpus-{os.getuid()}", places))


def take(names: Sequence[str], folder: Path, places: int = 1, poll_seconds: float = 1.0) -> int:
    """Take one of the GPUs `names` for the life of this process, and return its index; wait until one has room.

    Of those with room it is one that the fewest processes share. folder: of the locks. places: as in `use_free_gpu`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    queue = None
    for attempt in count():
        queue = _locked(folder / "queue", fcntl.LOCK_EX | fcntl.LOCK_NB) if queue is None else queue
        index = None if queue is None else _take_now(names, folder, places)
        if queue is not None and index is not None:
            os.close(queue)
            return index
        if attempt == 1:  # at first, others may only be choosing
            print(f"waiting: all {len(names)} GPUs are taken by other jobs", file=sys.stderr, flush=True)
        time.sleep(poll_seconds)
    raise AssertionError


def _take_now(names: Sequence[str], folder: Path, places: int) -> int | None:
    """Take the GPU with the most room and return its index; None where none has any. The queue's lock is held."""
    free = {index: _free(folder, name, places) for index, name in enumerate(names)}
    for index in sorted(free, key=lambda index: -len(free[index])):
        kind = fcntl.LOCK_EX if places == 1 else fcntl.LOCK_SH
        if free[index] and (gpu := _locked(folder / names[index], kind | fcntl.LOCK_NB)) is not None:
            _held.append(gpu)
            if places > 1 and (place := _locked(free[index][0], fcntl.LOCK_EX | fcntl.LOCK_NB)) is not None:
                _held.append(place)
            return index
    return None


def _free(folder: Path, name: str, places: int) -> list[Path]:
    """Return the places on a GPU that nobody has, whether or not somebody has the whole of it."""
    paths = [folder / f"{name}-{place}" for place in range(places)]
    found = []
    for path in paths:
        if (descriptor := _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)) is not None:
            os.close(descriptor)
            found.append(path)
    return found


def _locked(path: Path, kind: int) -> int | None:
    """Return the descriptor of the file `path`, locked; None where it would have to wait and may not."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
