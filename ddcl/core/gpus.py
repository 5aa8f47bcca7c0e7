"""Chooses the GPU for a process on a machine that has several GPUs and no scheduler.

A process locks files that are named after its GPU and holds the locks until it ends; the kernel releases them however
it ends. To use a whole GPU, a process locks the GPU's file exclusively. Processes that share a GPU each hold a shared
lock on its file and an exclusive lock on a file of their own (a "place"). A process holds the queue's lock while it
chooses, so any number of jobs may start at once: they choose one after the other, and none overtakes a waiting one.
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
    """Return the environment variable that assigns this job a GPU, such as ``SLURM_JOB_GPUS=0``; empty if none does."""
    none = ("", "-1", "NoDevFiles")
    given = {name: os.environ.get(name, "") for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")}
    return next((f"{name}={value}" for name, value in given.items() if value not in none), "")


def use_free_gpu(places: int = 1) -> None:
    """Select a GPU with room for this process as the current device; wait until there is one.

    places: how many processes like this one may share a GPU; 1: use a GPU that no other process of this user has.
    Does nothing if only one GPU is visible, as in a cluster job, or if torchrun assigns a GPU to each rank.
    GPUs are identified by UUID, because CUDA_VISIBLE_DEVICES renumbers them for each process.
    """
    if torch.cuda.device_count() > 1 and "LOCAL_RANK" not in os.environ:
        uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
        torch.cuda.set_device(take(uuids, Path(tempfile.gettempdir()) / f"ddcl-gpus-{os.getuid()}", places))


def take(names: Sequence[str], folder: Path, places: int = 1, poll_seconds: float = 1.0) -> int:
    """Reserve one of the GPUs `names` until this process ends, and return its index; wait until one has room.

    Prefers the GPU that the fewest processes share. folder: holds the lock files. places: as in `use_free_gpu`.
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
            print(f"waiting: other jobs are using all {len(names)} GPUs", file=sys.stderr, flush=True)
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
    """Return the free places on a GPU, whether or not a process has reserved the whole of it."""
    paths = [folder / f"{name}-{place}" for place in range(places)]
    found = []
    for path in paths:
        if (descriptor := _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)) is not None:
            os.close(descriptor)
            found.append(path)
    return found


def _locked(path: Path, kind: int) -> int | None:
    """Lock the file `path` and return its descriptor; None if the lock is taken and `kind` forbids waiting."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
