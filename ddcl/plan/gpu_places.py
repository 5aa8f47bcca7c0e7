"""How many runs share a GPU: several small ones, where the user says so; a large one has its own. Imports no torch.

The user says it once, as Snakemake's resource `runs_per_gpu` (workstation/config.yaml): Snakemake then counts places on
GPUs, and jobs are told by their environment. No number depends on it.
"""

from __future__ import annotations

import os
from typing import Any

from ddcl.base.errors import UserError
from ddcl.plan.networks import shares_gpu
from ddcl.schema.recipes import Recipe

VARIABLE = "DDCL_RUNS_PER_GPU"
RESOURCE = "runs_per_gpu"


def share_gpus(resources: Any) -> None:
    """Make Snakemake's `gpu` the number of places on GPUs, and tell jobs how many there are on each.

    resources: of Snakemake's workflow; what it `get`s by name has a `value`, None where it was not given.
    """
    places, gpus = (resources.get(name).value for name in (RESOURCE, "gpu"))
    os.environ[VARIABLE] = str(1 if places is None else places)
    n = runs_per_gpu(f"resources: {RESOURCE}")
    if n > 1 and gpus is not None:
        resources["gpu"] = n * gpus


def runs_per_gpu(where: str = VARIABLE) -> int:
    """Return how many small runs may share a GPU, as the environment says; `UserError` for what is no number."""
    text = os.environ.get(VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{where}: expected a number of runs, 1 or more, found {text!r}")
    return int(text)


def places_for(recipe: Recipe) -> int:
    """Return how many runs like this one may share a GPU; a run of several processes has its GPUs to itself."""
    return runs_per_gpu() if shares_gpu(recipe) and recipe.training.processes == 1 else 1


def places_taken(recipe: Recipe) -> int:
    """Return how many of the places on a GPU a run takes: one, or all."""
    return runs_per_gpu() // places_for(recipe)
