"""The features of a run on disk: float16 arrays, and an index that says what they are. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddcl.core.errors import UserError
from ddcl.core.files import read_json
from ddcl.registry import RANDOM_PARTS, has_cell

SCHEMA = 1
FOLDER = "features"  # below the folder of a run and an evaluation data set
INDEX = "features.json"
CLEAN_DRAW = "none-0"  # the clean test images, as the only draw of the perturbation that changes nothing
TRAIN = "train"  # clean training images; test images are stored by perturbation


@dataclass(frozen=True)
class Features:
    """Features [N, D] and labels [N] of one split."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    def columns(self, columns: NDArray[np.int64]) -> Features:
        """Return the same images with these columns only: one part."""
        return Features(np.ascontiguousarray(self.features[:, columns]), self.labels)


@dataclass(frozen=True)
class Outcome:
    """What an evaluation gives for one part.

    predictions: predicted classes [N] by name of the draw.
    best_test: the same, of the epoch that is best on the clean test split, where a protocol reports that too.
    chosen: the hyperparameters that it chose.
    """

    predictions: dict[str, NDArray[np.int64]]
    best_test: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)


def evaluation_folder(run: Path, dataset: str) -> Path:
    """Return where features and records of the run in folder `run` on `dataset` lie."""
    return run / "on" / dataset


def array_path(folder: Path, name: str) -> Path:
    """Return where the features of `name` (`train`, or a draw of a perturbation: `drawn`) lie."""
    return folder / f"{TRAIN}.npy" if name == TRAIN else folder / f"test_{name}.npy"


def drawn(perturbation: str, draw: int) -> str:
    """Return the name of a perturbation's draw, such as ``color-0``."""
    return f"{perturbation}-{draw}"


def draws_of(index: dict[str, Any], perturbation: str) -> list[str]:
    """Return the names of all draws of a perturbation that the index has."""
    return [name for name in index["arrays"] if name.rpartition("-")[0] == perturbation]


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


class TestFeatures(Mapping[str, Features]):
    """The features of test images by name of the draw, read from disk when they are asked for.

    columns: indices of the features to keep; None: all.
    """

    def __init__(
        self, folder: Path, index: dict[str, Any], names: Sequence[str], columns: NDArray[np.int64] | None = None
    ) -> None:
        self.folder, self.index, self.names, self.kept = folder, index, names, columns

    def __getitem__(self, name: str) -> Features:
        features = read_features(self.folder, self.index, name)
        return features if self.kept is None else features.columns(self.kept)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def of(self, part: str) -> TestFeatures:
        """Return the draws that a part is evaluated on: for random parts, which are drawn themselves, the first."""
        if part not in RANDOM_PARTS:
            return self
        kept = [name for name in self.names if name.endswith("-0") and has_cell(part, name.rpartition("-")[0])]
        return TestFeatures(self.folder, self.index, kept, self.kept)

    def columns(self, columns: NDArray[np.int64]) -> TestFeatures:
        """Return the same images with these columns only."""
        return TestFeatures(self.folder, self.index, self.names, columns)


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
