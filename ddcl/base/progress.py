"""How far a training is: one small file in the run's work folder, for `ddcl status`. Imports no torch."""

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
    """How far a training is. Speed and time are those of the process that wrote it; None before its first epoch."""

    epoch: int
    epochs: int
    images_per_s: float | None
    seconds_left: float | None
    seconds_per_epoch: float | None
    host: str
    pid: int
    slurm_job_id: str | None


def read_progress(work: Path) -> ProgressState | None:
    """Return what `work`/progress.json says; None where there is none that can be read."""
    try:
        return parse(ProgressState, read_json(work / FILE, "progress"), str(work / FILE))
    except UserError:
        return None


class Progress:
    """Writes `work`/progress.json; called with the number of epochs done, before the first and after each.

    epochs: in all. images: of one epoch.
    Speed and time left are those of this process: what was resumed is not counted.
    """

    def __init__(self, work: Path, epochs: int, images: int) -> None:
        self.path, self.epochs, self.images = work / FILE, epochs, images
        self.started: tuple[int, float] | None = None

    def __call__(self, epoch: int) -> None:
        if self.started is None:
            self.started = (epoch, time.monotonic())
        done, seconds = epoch - self.started[0], time.monotonic() - self.started[1]
        state = ProgressState(
            epoch=epoch,
            epochs=self.epochs,
            images_per_s=done * self.images / seconds if done else None,
            seconds_left=(self.epochs - epoch) * seconds / done if done else None,
            seconds_per_epoch=seconds / done if done else None,
            host=platform.node(),
            pid=os.getpid(),
            slurm_job_id=slurm_job_id(),
        )
        write_json(self.path, state.model_dump())
