"""How far a training is: one small file in the run's work folder, for `ddcl status`. Imports no torch."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from ddcl.base.files import write_json
from ddcl.base.provenance import slurm_job_id

FILE = "progress.json"


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
        content = {
            "epoch": epoch,
            "epochs": self.epochs,
            "images_per_s": done * self.images / seconds if done else None,
            "seconds_left": (self.epochs - epoch) * seconds / done if done else None,
            "seconds_per_epoch": seconds / done if done else None,
            "written_at": time.time(),
            "host": platform.node(),
            "pid": os.getpid(),
            "slurm_job_id": slurm_job_id(),
        }
        write_json(self.path, content)
