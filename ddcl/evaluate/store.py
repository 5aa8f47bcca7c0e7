"""The features of a run on disk: float16 arrays, and an index that says what they are. Imports no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddcl.core.errors import UserError
from ddcl.core.files import read_json

SCHEMA = 1
FOLDER = "features"  # below the run's folder
INDEX = "features.json"
TRAIN = "train"  # clean training images; test images are stored by perturbation


@dataclass(frozen=True)
class Features:
    """Features [N, D] and labels [N] of one split."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    def columns(self, start: int, stop: int) -> Features:
        """Return the columns [start, stop): one part."""
        return Features(np.ascontiguousarray(self.features[:, start:stop]), self.labels)


@dataclass(frozen=True)
class Outcome:
    """What an evaluation gives: predicted classes [N] by perturbation, and the hyperparameters that it chose."""

    predictions: dict[str, NDArray[np.int64]]
    chosen: dict[str, float] = field(default_factory=dict)


def array_path(folder: Path, name: str) -> Path:
    """Return where the features of `name` (`train` or a perturbation) lie."""
    return folder / f"{TRAIN}.npy" if name == TRAIN else folder / f"test_{name}.npy"


def labels_path(folder: Path, split: str) -> Path:
    """Return where the labels of `train` or `test` lie."""
    return folder / f"{split}_labels.npy"


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a feature folder."""
    index: dict[str, Any] = read_json(folder / INDEX, "features index; `ddcl extract` makes it")
    if index.get("schema") != SCHEMA:
        raise UserError(
            f"{folder / INDEX}: schema {index.get('schema')!r}, expected {SCHEMA}; run `ddcl extract` again"
        )
    return index


def check_owner(folder: Path, index: dict[str, Any], name: str, recipe_digest: str) -> None:
    """Raise `UserError` unless the features are those of the run `name` with this recipe."""
    if (index["run"], index["recipe_digest"]) != (name, recipe_digest):
        raise UserError(
            f"{folder}: these are features of run {index['run']} (recipe {index['recipe_digest']}), not of {name} "
            f"(recipe {recipe_digest}); run `ddcl extract` again"
        )


def read_features(folder: Path, index: dict[str, Any], name: str) -> Features:
    """Return the features of `name` as float32, checked against the index."""
    if name not in index["arrays"]:
        known = ", ".join(sorted(index["arrays"]))
        raise UserError(f"{folder}: no features for {name!r}; there are {known}; run `ddcl extract` again")
    arrays = []
    for path in (array_path(folder, name), labels_path(folder, TRAIN if name == TRAIN else "test")):
        try:
            if file_digest(path) != index["sha256"][path.name]:
                raise UserError(f"{path}: damaged (its sha256 is not the one in {INDEX}); run `ddcl extract` again")
            arrays.append(np.load(path))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); run `ddcl extract` again") from None
    return Features(arrays[0].astype(np.float32), arrays[1])
