"""The features of a run on disk: float16 arrays, and an index that says what they are. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.base.files import read_json
from ddcl.core.streams import derive
from ddcl.schema.metrics import ACCURACY
from ddcl.schema.registry import RANDOM_PARTS, has_cell

SCHEMA = 1
FOLDER = "features"  # below the folder of a run and an evaluation data set
INDEX = "features.json"
CLEAN = "none"  # the perturbation that changes nothing
CLEAN_DRAW = f"{CLEAN}-0"  # the clean test images, as its only draw
TRAIN = "train"  # clean training images; test images are stored by perturbation


ColumnSets: TypeAlias = dict[str, list[NDArray[np.int64]]]  # by part: the columns of the features that it consists of


def random_orders(seed: int, width: int, draws: int) -> list[NDArray[np.int64]]:
    """Return random orders of `width` columns, whose ends are random subsets; the same for every method of a seed."""
    streams = (np.random.PCG64(derive(seed, "random subset", draw)) for draw in range(draws))
    return [np.random.Generator(stream).permutation(width) for stream in streams]


def column_sets(
    parts: Mapping[str, Sequence[int]], controls: Mapping[str, Sequence[int]], seed: int, draws: int
) -> ColumnSets:
    """Return the columns of each part, and `draws` random sets of all columns for each of the controls.

    parts: [start, stop] of each, with that of `full`. controls: [start, stop] of each in a random order of all columns.
    """
    orders = random_orders(seed, parts["full"][1], draws if controls else 0)
    sets = {name: [np.arange(*own)] for name, own in parts.items()}
    return sets | {name: [np.sort(order[slice(*own)]) for order in orders] for name, own in controls.items()}


@dataclass(frozen=True)
class Features:
    """Features [N, D], of any float type and possibly memory-mapped, and labels [N] of one split."""

    features: NDArray[np.floating]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """What an evaluation gives for one part and column set.

    predictions: by metric, predicted classes [N] by name of the draw.
    chosen: the hyperparameters that it chose.
    """

    predictions: dict[str, dict[str, NDArray[np.int64]]]
    chosen: dict[str, float] = field(default_factory=dict)


Address: TypeAlias = tuple[str, str, str]  # of a cell: perturbation, part, metric


@dataclass(frozen=True)
class Measured:
    """What an evaluation finds that predicts no classes.

    values: of each cell, [column sets, draws]. n: images that they are of.
    arrays: what is kept beside the record, by name.
    """

    values: dict[Address, NDArray[np.floating]]
    n: int
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureTask:
    """What a protocol on stored features is given.

    train: the clean training images. tests: the test images by name of the draw. seed: of the run.
    device: where to compute.
    """

    train: Features
    tests: Mapping[str, Features]
    sets: ColumnSets
    seed: int
    device: str = "cpu"


Predict: TypeAlias = Callable[[NDArray[np.floating], list[int]], list[dict[str, NDArray[np.int64]]]]


def predict_all(tests: Mapping[str, Features], sets: ColumnSets, predict: Predict) -> list[dict[str, Any]]:
    """Return, for each column set of each part in order, predicted classes by metric and name of the draw.

    predict: (features [N, D], numbers of the column sets) -> for each of them, classes [N] by metric. It is called once
    for each draw, with the column sets that are evaluated on it.
    """
    parts = [part for part, own in sets.items() for _ in own]
    found: list[dict[str, Any]] = [{} for _ in parts]
    for name, test in tests.items():
        numbers = [number for number, part in enumerate(parts) if _is_evaluated(part, name)]
        for number, predicted in zip(numbers, predict(test.features, numbers), strict=True):
            for metric, classes in predicted.items():
                found[number].setdefault(metric, {})[name] = classes
    return found


def _is_evaluated(part: str, name: str) -> bool:
    """Return whether a part is evaluated on a draw; random parts, which are drawn themselves, are on the first only."""
    perturbation, _, draw = name.rpartition("-")
    return part not in RANDOM_PARTS or (draw == "0" and has_cell(part, perturbation, ACCURACY))


def by_part(sets: ColumnSets, outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the outcomes of all column sets, which are in order, by part."""
    rest = iter(outcomes)
    return {part: [next(rest) for _ in own] for part, own in sets.items()}


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
    """The features of test images by name of the draw, read from disk when they are asked for."""

    def __init__(self, folder: Path, index: dict[str, Any], names: Sequence[str]) -> None:
        self.folder, self.index, self.names = folder, index, names

    def __getitem__(self, name: str) -> Features:
        return read_features(self.folder, self.index, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read_features(folder: Path, index: dict[str, Any], name: str) -> Features:
    """Return the features of `name`, float16 and memory-mapped, checked against the index."""
    if name not in index["arrays"]:
        known = ", ".join(sorted(index["arrays"]))
        raise UserError(f"{folder}: no features for {name!r}; there are {known}; run `ddcl extract` again")
    arrays = []
    for path in (array_path(folder, name), labels_path(folder, TRAIN if name == TRAIN else "test")):
        try:
            if file_digest(path) != index["sha256"][path.name]:
                raise UserError(f"{path}: damaged (its sha256 is not the one in {INDEX}); run `ddcl extract` again")
            arrays.append(np.load(path, mmap_mode="c"))  # copy on write: torch wants arrays that it may write to
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); run `ddcl extract` again") from None
    return Features(*arrays)
