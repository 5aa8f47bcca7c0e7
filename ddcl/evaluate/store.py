"""The features of a run on disk: float16 arrays, and an index that describes them. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.base.files import damage_named, file_sha256
from ddcl.core.streams import derive
from ddcl.schema import feature_index
from ddcl.schema.feature_index import Draw, DrawnFiles, FeatureIndex, SplitFiles, StoredFile
from ddcl.schema.recipes import Recipe
from ddcl.schema.registry import RANDOM_PARTS

ColumnSets: TypeAlias = dict[str, list[NDArray[np.int64]]]  # by part: its columns of the features


def random_orders(seed: int, width: int, draws: int) -> list[NDArray[np.int64]]:
    """Return random orders of `width` columns, from which random subsets are cut; the same for all methods."""
    streams = (np.random.PCG64(derive(seed, "random subset", draw)) for draw in range(draws))
    return [np.random.Generator(stream).permutation(width) for stream in streams]


def column_sets(
    parts: Mapping[str, Sequence[int]], controls: Mapping[str, Sequence[int]], seed: int, draws: int
) -> ColumnSets:
    """Return the columns of each part, and `draws` random sets of all columns for each of the controls.

    parts: [start, stop] of each, with that of `full`. controls: [start, stop] of each in a random order of all columns.
    """
    orders = random_orders(seed, parts["full"][1], draws) if controls else []
    sets = {name: [np.arange(*own)] for name, own in parts.items()}
    return sets | {name: [np.sort(order[slice(*own)]) for order in orders] for name, own in controls.items()}


@dataclass(frozen=True)
class Features:
    """Features [N, D], of any float type and possibly memory-mapped, and labels [N] of one split.

    groups: [N], of images that are not independent (`ddcl.data.groups`); None: all are.
    """

    features: NDArray[np.floating]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of an evaluation for one part and column set.

    predictions: by metric, predicted classes [N] by draw; empty if a probe or fine-tuning diverged.
    chosen: the hyperparameters that it chose.
    """

    predictions: dict[str, dict[Draw, NDArray[np.int64]]]
    chosen: dict[str, float] = field(default_factory=dict)


Asked: TypeAlias = frozenset[tuple[str, str]]  # parts with the perturbations that they are evaluated under
Address: TypeAlias = tuple[str, str, str]  # of a cell: perturbation, part, metric


@dataclass(frozen=True)
class Measured:
    """The result of an evaluation that does not predict classes.

    values: of each cell, [column sets, draws]. n: number of images.
    arrays: stored beside the record, by name.
    """

    values: dict[Address, NDArray[np.floating]]
    n: int
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureTask:
    """The input of a protocol that uses stored features.

    train: the clean training images. tests: the test images by draw. seed: of the run.
    device: to compute on. asked: which parts to evaluate under which perturbations; None: all.
    """

    train: Features
    tests: Mapping[Draw, Features]
    sets: ColumnSets
    seed: int
    device: str = "cpu"
    asked: Asked | None = None


Predictions: TypeAlias = dict[str, dict[Draw, NDArray[np.int64]]]  # predicted classes [N] by metric and draw
Predict: TypeAlias = Callable[[NDArray[np.floating], list[int]], list[dict[str, NDArray[np.int64]]]]


def predict_all(
    tests: Mapping[Draw, Features], sets: ColumnSets, predict: Predict, asked: Asked | None = None
) -> list[Predictions]:
    """Return, for each column set of each part in order, predicted classes by metric and draw.

    predict: (features [N, D], numbers of the column sets) -> for each of them, classes [N] by metric. It is called once
    for each draw, with the column sets that are evaluated on it. asked: as in `FeatureTask`.
    """
    parts = [part for part, own in sets.items() for _ in own]
    predictions: list[Predictions] = [{} for _ in parts]
    for draw, test in tests.items():
        numbers = [number for number, part in enumerate(parts) if _is_evaluated(part, draw, asked)]
        for number, predicted in zip(numbers, predict(test.features, numbers), strict=True):
            for metric, classes in predicted.items():
                predictions[number].setdefault(metric, {})[draw] = classes
    return predictions


def _is_evaluated(part: str, draw: Draw, asked: Asked | None) -> bool:
    """Return whether a part is evaluated on a draw; random parts are evaluated on the first draw only."""
    return (asked is None or (part, draw.perturbation) in asked) and (draw.draw == 0 or part not in RANDOM_PARTS)


def by_part(sets: ColumnSets, outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the outcomes of all column sets, which are in order, by part."""
    rest = iter(outcomes)
    return {part: [next(rest) for _ in own] for part, own in sets.items()}


def check_owner(folder: Path, index: FeatureIndex, recipe: Recipe) -> None:
    """Raise `UserError` unless the features are those of the run with this recipe."""
    if (index.run, index.recipe_digest) != (recipe.key, recipe.digest):
        raise UserError(
            f"{folder}: these are features of run {index.run.name} (recipe {index.recipe_digest}), not of "
            f"{recipe.name} (recipe {recipe.digest}); run `ddcl extract` again"
        )


class TestFeatures(Mapping[Draw, Features]):
    """The features of test images by draw, read from disk when they are asked for."""

    def __init__(self, folder: Path, index: FeatureIndex, draws: Sequence[Draw]) -> None:
        self.folder, self.index, self.draws = folder, index, draws

    def __getitem__(self, draw: Draw) -> Features:
        return read_test(self.folder, self.index, draw)

    def __iter__(self) -> Iterator[Draw]:
        return iter(self.draws)

    def __len__(self) -> int:
        return len(self.draws)


def read_train(folder: Path, index: FeatureIndex) -> Features:
    """Return the features of the clean training images, float16 and memory-mapped, checked against the index."""
    if index.train is None:
        raise UserError(f"{folder}: there are no features, because the run {index.status}")
    return _features(folder, index.train.features, index.train)


def read_test(folder: Path, index: FeatureIndex, draw: Draw) -> Features:
    """Return the features of the test images under a draw, like `read_train`."""
    draws = index.draws()
    if index.test is None or draw not in draws:
        known = ", ".join(f"{name} {number}" for name, number in sorted(draws))
        raise UserError(
            f"{folder}: no features for draw {draw.draw} of {draw.perturbation!r}; there are {known or 'none'}; "
            "run `ddcl extract` again"
        )
    return _features(folder, draws[draw], index.test)


def _features(folder: Path, features: StoredFile, split: SplitFiles | DrawnFiles) -> Features:
    groups = None if split.groups is None else _array(folder, split.groups)
    return Features(_array(folder, features), _array(folder, split.labels), groups)


def _array(folder: Path, stored: StoredFile) -> NDArray[Any]:
    path = folder / stored.file
    again = "run `ddcl extract` again"
    with damage_named(path, "features", again):
        if path.exists() and file_sha256(path) != stored.sha256:
            raise UserError(f"{path}: damaged (its sha256 is not the one in {feature_index.FILE}); {again}")
        array: NDArray[Any] = np.load(path, mmap_mode="c")  # copy on write: torch wants arrays that it may write to
    return array
