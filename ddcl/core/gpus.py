"""One GPU for each process, where a machine has several and no scheduler hands them out.

A process holds a lock on a file that is named after the GPU, for as long as it lives; however it ends, the lock is
free again. So any number of jobs may be started at once, and each waits for a GPU of its own.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

_held: list[int] = []  # descriptors of locked files: closing one would free its GPU


def gpu_given() -> str:
    """Return where the environment says that this job was given a GPU, such as ``SLURM_JOB_GPUS=0``; or nothing."""
    none = ("", "-1", "NoDevFiles")
    given = {name: os.environ.get(name, "") for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")}
    return next((f"{name}={value}" for name, value in given.items() if value not in none), "")


def use_free_gpu() -> None:
    """Make a GPU that no other process of this user has taken the current one; wait until there is one.

    Nothing is done where one GPU is visible, as in the job of a cluster, or where torchrun gives each rank its own.
    GPUs are known by their UUIDs, as CUDA_VISIBLE_DEVICES numbers them anew for each process.
    """
    if torch.cuda.device_count() > 1 and "LOCAL_RANK" not in os.environ:
        uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
        torch.cuda.set_device(take_free(uuids, Path(tempfile.gettempdir())))


def take_free(names: Sequence[str], folder: Path, poll_seconds: float = 1.0) -> int:
    """Lock the first free one of `names` for the life of this process and return its index; wait until one is free."""
    waited = False
    while True:
        for index, name in enumerate(names):
            descriptor = os.open(folder / f"ddcl-gpu-{name}-{os.getuid()}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                _held.append(descriptor)
                return index
        if not waited:
            print(f"waiting: all {len(names)} GPUs are taken by other jobs", file=sys.stderr, flush=True)
            waited = True
        time.sleep(poll_seconds)
