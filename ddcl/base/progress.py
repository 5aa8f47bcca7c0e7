"""Training progress: one small file in the run's work folder, read by `ddcl status`. Does not import torch."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.base.files import read_json, write_json
from ddcl.base.provenance import slurm_job_id
from ddcl.base.yaml_files import Model, parse

FILE = "progress.json"


class ProgressState(Model):
    """Training progress. Speed and times are those of the process that wrote it; None before its first epoch."""

    epoch: int
    epochs: int
    images_per_s: float | None
    seconds_left: float | None
    seconds_per_epoch: float | None
    host: str
    pid: int
    slurm_job_id: str | None


def read_progress(work: Path) -> ProgressState | None:
    """Return the content of `work`/progress.json; None if it is missing or unreadable."""
    try:
        return parse(ProgressState, read_json(work / FILE, "progress"), str(work / FILE))
    except UserError:
        return None


def announce(work: Path, epochs: int) -> None:
    """Record that this process starts or continues training for `epochs` epochs, before it has loaded anything."""
    former = read_progress(work)
    _write(work / FILE, former.epoch if former else 0, epochs)


def _write(path: Path, epoch: int, epochs: int, speed: tuple[float, float, float] | None = None) -> None:
    """Write the progress of this process. speed: images per second, seconds left, seconds per epoch; if known."""
    images_per_s, seconds_left, seconds_per_epoch = speed or (None, None, None)
    state = ProgressState(
        epoch=epoch,
        epochs=epochs,
        images_per_s=images_per_s,
        seconds_left=seconds_left,
        seconds_per_epoch=seconds_per_epoch,
        host=platform.node(),
        pid=os.getpid(),
        slurm_job_id=slurm_job_id(),
    )
    write_json(path, state.model_dump())


class Progress:
    """Writes `work`/progress.json; called with the number of epochs done, before the first and after each.

    epochs: in total. images: per epoch.
    Speed and time left are measured in this process only: epochs before a resume are not counted.
    """

    def __init__(self, work: Path, epochs: int, images: int) -> None:
        self.path, self.epochs, self.images = work / FILE, epochs, images
        self.started: tuple[int, float] | None = None

    def __call__(self, epoch: int) -> None:
        if self.started is None:
            self.started = (epoch, time.monotonic())
        done, seconds = epoch - self.started[0], time.monotonic() - self.started[1]
        speed = (done * self.images / seconds, (self.epochs - epoch) * seconds / done, seconds / done) if done else None
        _write(self.path, epoch, self.epochs, speed)
