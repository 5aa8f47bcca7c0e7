"""Where data sets lie. Imports no torch: Snakemake asks at every start."""

from __future__ import annotations

import os
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.base.paths import expanded
from ddcl.schema import manifest
from ddcl.schema.suites import DatasetConfig

VARIABLE = "DDCL_DATA"
_given = bool(os.environ.get(VARIABLE))  # by the user, before jobs are told of a folder by the same variable
_asked: dict[str, str] = {}  # what each module's suite says


def data_root(configured: str = "data") -> Path:
    """Return the folder with the data sets, its variables expanded: the environment's DDCL_DATA, else `configured`."""
    given = os.environ.get(VARIABLE)
    return expanded(given, VARIABLE) if given else expanded(configured, "data_root")


def check_one_root(configured: str, name: str) -> None:
    """Raise `UserError` if a module of the workflow wants its data sets elsewhere than one before it.

    All jobs of a workflow have one environment, by which they are told where data sets lie.
    """
    _asked[name] = configured
    if len(set(_asked.values())) > 1 and not _given:
        found = ", ".join(f"{root} ({module})" for module, root in _asked.items())
        raise UserError(
            f"data_root: all modules of a workflow must have the same, found {found}; change one, or set {VARIABLE}"
        )


def is_there(dataset: DatasetConfig, root: Path) -> bool:
    """Return whether the data set's files seem to lie below `root`; `prepare` looks closer."""
    return not dataset.found_by or any((root / path).exists() for path in dataset.found_by)


def prepared_counts(folder: Path) -> dict[str, int]:
    """Return the number of images of each split of a data set that was prepared in `folder`; {}: it was not.

    What a damaged manifest says does not count; the stages that use it say what is wrong with it.
    """
    try:
        splits = manifest.load(folder / "manifest.json").splits
    except UserError:
        return {}
    return {split: entry.n for split, entry in splits.items()}


def missing_message(datasets: dict[str, DatasetConfig], root: Path) -> str:
    """Return one message that names every data set that is not below `root`, and how to get it; empty if all are."""
    lines = [
        f"  {name} ({dataset.label}): {dataset.obtain or 'downloaded by `ddcl prepare`'}"
        for name, dataset in datasets.items()
        if not is_there(dataset, root)
    ]
    if not lines:
        return ""
    head = f"{len(lines)} of {len(datasets)} data sets are not in {root} (data_root in the suite, or {VARIABLE}):"
    return "\n".join([head, *lines])
