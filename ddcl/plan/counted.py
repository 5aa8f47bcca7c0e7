"""How many images a suite's data sets have: what YAML says, else what was prepared, else what lies in their folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.plan.addresses import data_folder
from ddcl.plan.datasets import prepared_counts
from ddcl.plan.relations import check_batches
from ddcl.plan.suite import Suite
from ddcl.schema.suites import DatasetConfig

Counts = dict[str, dict[str, int]]  # images of each split, by data set
# Counts, and checks, those of the data sets that it can where they lie: `ddcl.data.readers.folders:listed_counts`.
Lister = Callable[[Mapping[str, DatasetConfig]], Counts]


def counted(suite: Suite, results: Path, lister: Lister = lambda configs: {}) -> Suite:
    """Return the suite with the numbers of images that YAML does not say.

    results: where data sets may have been prepared. lister: is asked for those that were not. `UserError` for numbers
    that contradict YAML, and for a batch that is larger than the training images.
    """
    known, configs = copy(suite), suite.dataset_configs
    known.dataset_configs = dict(configs)
    prepared = {name: prepared_counts(results / data_folder(name, suite.data(name))) for name in configs}
    listed = lister({name: config for name, config in configs.items() if not prepared[name]})
    for name, config in configs.items():
        found = listed.get(name, {}) | prepared[name]
        _check_numbers(name, config, found)
        known.dataset_configs[name] = config.model_copy(update={"n_images": found | config.n_images})
    check_batches(known.runs.values(), known.dataset_configs, known.where)
    return known


def _check_numbers(name: str, config: DatasetConfig, found: Mapping[str, int]) -> None:
    for split, n in config.n_images.items():
        if found and found.get(split) != n:
            raise UserError(
                f"config/datasets/{name}.yaml: n_images.{split}: {n}, found {found.get(split, 0)}; correct it, or, if "
                f"images were added since, run `ddcl prepare {name}` again"
            )
