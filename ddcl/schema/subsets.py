"""The fixed lists of training images in config/subsets, as files; `ddcl.data.subsets` finds the images. No torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ddcl.base.errors import UserError, did_you_mean
from ddcl.base.files import read_json
from ddcl.schema.recipes import CONFIG_DIR

FOLDER = "subsets"


def subset_path(dataset: str, name: str) -> Path:
    """Return the file of a list."""
    return CONFIG_DIR / FOLDER / f"{dataset}_{name}.json"


def read_positions(dataset: str, name: str) -> list[list[int]]:
    """Return, for each class, the positions that the list `name` has among the training images of `dataset`."""
    path = subset_path(dataset, name)
    if not path.exists():
        known = [entry.stem for entry in path.parent.glob("*.json")]
        raise UserError(f"{path}: no such list of images{did_you_mean(path.stem, known)}; `ddcl subset` makes one")
    positions: list[list[int]] = read_json(path, "list of images")["positions"]
    return positions


@cache
def n_listed(dataset: str, name: str) -> int:
    """Return how many images the list `name` of `dataset` has; read once."""
    return sum(map(len, read_positions(dataset, name)))
