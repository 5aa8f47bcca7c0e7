"""What a job cost: its time, its memory and the work that it did, in one small file per job. Imports no torch.

Jobs measure themselves: whoever starts one sees a shell, or a process that other jobs share. The file is a side
product, of which nothing else is made but what `ddcl plan` says: no rule's output, in no digest and in no record.
"""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from ddcl.base.errors import UserError
from ddcl.base.files import read_json, write_json
from ddcl.base.yaml_files import Model, parse
from ddcl.plan.addresses import cost_path, results_of
from ddcl.plan.networks import speed_name
from ddcl.schema.recipes import Recipe

Device = Literal["cpu", "cuda"]
MB = 1024  # kilobytes, as the kernel counts them


class JobCost(Model):
    """What the last job at a place of `ddcl.plan.addresses` cost.

    stage: pretrain, features or an evaluation; digest: of the features or the record. eval_dataset, digest: empty where
    the stage has none. network: that the images went through (`ddcl.plan.networks.speed_name`).
    seconds: of this job, without waiting for a GPU; start_seconds: of these, until its libraries were there.
    cpu_seconds: of the process and its children; of several processes that train together, of the first.
    peak_mb: the most memory of the process, or of a child if that had more.
    images: that were trained on, in each epoch anew, or encoded; None where nobody counts them. images_seconds: that
    they took. Of a training that was resumed, both are those of all its jobs.
    processes: that trained together, each on its own device. device_name: what the device calls itself.
    """

    stage: str
    eval_dataset: str
    digest: str
    network: str
    seconds: float = Field(ge=0)
    start_seconds: float = Field(ge=0)
    cpu_seconds: float = Field(ge=0)
    peak_mb: float = Field(ge=0)
    images: int | None = Field(ge=0)
    images_seconds: float | None = Field(ge=0)
    processes: int = Field(ge=1)
    device: Device
    device_name: str
    host: str


class Meter:
    """Measures what this process spends on a job, from now on. device: that it computes on, its kind and its name."""

    def __init__(self) -> None:
        self.device: Device = "cpu"
        self.device_name = ""
        self.begun, self.cpu_seconds, self.start_seconds = time.monotonic(), _cpu_seconds(), 0.0

    @property
    def seconds(self) -> float:
        """The seconds until now."""
        return time.monotonic() - self.begun

    def started(self) -> None:
        """Say that all libraries are there and the work begins."""
        self.start_seconds = self.seconds

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not count the time within."""
        began = time.monotonic()
        yield
        self.begun += time.monotonic() - began

    def write(
        self,
        recipe: Recipe,
        folder: Path,
        stage: tuple[str, str, str],
        images: tuple[int, float] | None = None,
    ) -> None:
        """Write what was spent.

        folder: of the run. stage: its name, data set and digest. images: how many, and in how many seconds, as in
        `JobCost`. A folder that is no run's address has no place for it.
        """
        name, eval_dataset, digest = stage
        cost = JobCost(
            stage=name,
            eval_dataset=eval_dataset,
            digest=digest,
            network=speed_name(recipe),
            seconds=self.seconds,
            start_seconds=self.start_seconds,
            cpu_seconds=max(0.0, _cpu_seconds() - self.cpu_seconds),
            peak_mb=_peak_mb(),
            images=images[0] if images else None,
            images_seconds=images[1] if images else None,
            processes=recipe.training.processes if name == "pretrain" else 1,
            device=self.device,
            device_name=self.device_name,
            host=platform.node(),
        )
        results = results_of(folder, recipe)
        if results is not None:
            write_json(results / cost_path(recipe, *stage), cost.model_dump())


@contextmanager
def only_warned() -> Iterator[None]:
    """Make a warning of what goes wrong within, as the job has done its work."""
    try:
        yield
    except (UserError, OSError) as error:
        print(f"ddcl: warning: the cost of this job was not stored: {error}", file=sys.stderr)


def read_costs(results: Path) -> list[JobCost]:
    """Return what the jobs below the results folder cost; what cannot be read does not count."""
    paths = sorted(results.glob("costs/*/*/*/seed*/**/*.json"))
    return [cost for path in paths if (cost := _read(path))]


def _read(path: Path) -> JobCost | None:
    try:
        return parse(JobCost, read_json(path, "cost of a job"), str(path))
    except UserError:
        return None


def _cpu_seconds() -> float:
    """Return the seconds of processors that this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _peak_mb() -> float:
    """Return the most MB that this process, or one of its ended children, had in memory.

    Of itself by /proc, where there is one: ru_maxrss begins with what the process had that started it.
    """
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    status = Path("/proc/self/status")
    if status.is_file():
        own = next((int(line.split()[1]) for line in status.read_text().splitlines() if line[:6] == "VmHWM:"), own)
    return max(own, children) / MB
