"""How fast jobs are, by what finished ones said (`ddcl.plan.job_cost`): those of this machine, else of another one.

A speed is that of a network on images of one side, in one precision, on one kind of device. Imports no torch.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from ddcl.plan.job_cost import Device, JobCost, read_costs
from ddcl.plan.networks import speed_name
from ddcl.schema.recipes import Recipe

HERE = "measured on this machine"
HOSTS = 3  # that are named
CARDS = ("nvidia[0-9]*", "dxg")  # files in /dev of GPUs: of Linux, and of its subsystem in Windows


@dataclass(frozen=True)
class Measured:
    """Finished jobs of one kind, and where they ran."""

    costs: tuple[JobCost, ...]
    where: str

    @property
    def seconds(self) -> float:
        """The median seconds of a job."""
        return median(cost.seconds for cost in self.costs)

    @property
    def images_per_s(self) -> float:
        """The median images/s of a job's images, on each device."""
        return median(rate for cost in self.costs if (rate := _images_per_s(cost)) is not None)

    @property
    def other_seconds(self) -> float:
        """The median seconds of a job beside its images, such as imports; a resumed training counts as without any."""
        return median(max(0.0, cost.seconds - (cost.images_seconds or 0.0)) for cost in self.costs)


class Speeds:
    """What finished jobs in a results folder say."""

    def __init__(self, results: Path) -> None:
        self.device = local_device()
        self.jobs: dict[tuple[str, ...], list[JobCost]] = {}
        for cost in read_costs(results):
            self.jobs.setdefault((cost.network, cost.stage, cost.eval_dataset, cost.digest), []).append(cost)
            if _images_per_s(cost) is not None:
                self.jobs.setdefault((cost.network, cost.stage), []).append(cost)
        self._nearest = cache(self._new_nearest)

    def of_images(self, recipe: Recipe, stage: str) -> Measured | None:
        """Return the jobs of a stage that sent images through a run's network; None where there are none."""
        return self._nearest((speed_name(recipe), stage))

    def of_evaluation(self, recipe: Recipe, evaluation: str, eval_dataset: str, digest: str) -> Measured | None:
        """Return the jobs of the evaluation with this digest (`ddcl.plan.addresses`) of a run's network."""
        return self._nearest((speed_name(recipe), evaluation, eval_dataset, digest))

    def _new_nearest(self, key: tuple[str, ...]) -> Measured | None:
        """Return those of the jobs that ran here, on the kind of device that is used here; else of the usual device."""
        costs = self.jobs.get(key, [])
        own = tuple(cost for cost in costs if (cost.host, cost.device) == (platform.node(), self.device))
        if own or not costs:
            return Measured(own, HERE) if own else None
        names = [cost.device_name for cost in costs]
        usual = max(dict.fromkeys(names), key=names.count)
        elsewhere = tuple(cost for cost in costs if cost.device_name == usual)
        return Measured(elsewhere, f"measured elsewhere, {usual} on {_listed(cost.host for cost in elsewhere)}")


def _images_per_s(cost: JobCost) -> float | None:
    """Return how many images a second each device did; None where a job had no images, or nobody counted them."""
    return cost.images / cost.images_seconds / cost.processes if cost.images and cost.images_seconds else None


def _listed(hosts: Iterable[str]) -> str:
    names = sorted(set(hosts))
    return ", ".join(names) if len(names) <= HOSTS else f"{len(names)} hosts"


def local_device(folder: Path = Path("/dev")) -> Device:
    """Return the kind of device that jobs find here: cuda where there is a GPU and the environment does not hide it."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    return "cuda" if not hidden and any(any(folder.glob(name)) for name in CARDS) else "cpu"
