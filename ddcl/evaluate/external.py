"""Diagnostics of externally computed features: a file with features and known factors of the images.

The file is described in `ddcl.evaluate.feature_files`. Its arrays are used as follows:
    labels         balanced accuracy of a linear probe, as a factor `label`
    factor_<name>  floating point: R² of ridge regression; if the name ends in _deg, of sine and cosine. Integer or
                   bool: balanced accuracy of a linear probe
    train          if missing, a random three quarters of the rows
All results are for the other rows.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.core.streams import derive
from ddcl.evaluate.feature_files import floats, read_file
from ddcl.evaluate.geometry import geometry
from ddcl.evaluate.readout import FactorData, read_classes, read_numbers
from ddcl.evaluate.store import ColumnSets, column_sets
from ddcl.schema.evaluations import LinearSettings

TRAIN_SHARE = 0.75  # of the rows, unless the file has `train`
MIN_ROWS = 4  # for fitting, and for scoring


@dataclass(frozen=True)
class ExternalFeatures:
    """The content of a file of features, checked.

    features, views: divided by one common number, which changes no measurement. centred: each column of the features
    minus its mean and divided by its largest value; this does not affect a readout and fits into float32.
    factors: numbers, scaled like columns of `centred` except angles; or classes.
    """

    features: NDArray[np.float64]
    views: NDArray[np.float64] | None
    centred: NDArray[np.float32]
    parts: dict[str, tuple[int, int]]
    factors: dict[str, NDArray[Any]]
    train: NDArray[np.bool_]


def diagnose(path: Path, settings: LinearSettings, draws: int, seed: int) -> pd.DataFrame:
    """Return the measurements of the features in `path`, one row per part and metric.

    draws: number of random column subsets of each part's width, its control: parts random_<name>. seed: of all draws.
    Columns: part, metric, value, sd_draws (over random column sets), n_draws, n (rows).
    """
    file = read(path, seed)
    sets, test = _column_sets(file, draws, seed), ~file.train
    values: dict[tuple[str, str], NDArray[np.float64]] = {}
    for name, factor in file.factors.items():
        numbers = np.issubdtype(factor.dtype, np.floating)
        target = _sine_and_cosine(factor) if numbers and name.endswith("_deg") else factor[:, None]
        both = [
            FactorData(torch.from_numpy(file.centred[rows]), torch.from_numpy(target[rows])) for rows in (~test, test)
        ]
        read_one = read_numbers if numbers else read_classes
        for suffix, (train, held) in {"": both, "_shuffled": [known.shuffled(seed) for known in both]}.items():
            for part, reading in read_one(train, held, sets, settings, seed).items():
                values[part, f"readout_{name}{suffix}"] = reading.scores
    views = None if file.views is None else torch.from_numpy(file.views[:, test])
    values |= geometry(torch.from_numpy(file.features[test]), views, [{}, {}], sets)
    rows = [
        {"part": part, "metric": metric, "value": scores.mean(), "n_draws": len(scores), "n": int(test.sum())}
        | {"sd_draws": scores.std(ddof=1) if len(scores) > 1 else np.nan}
        for part in sets
        for (of, metric), scores in values.items()
        if of == part
    ]
    return pd.DataFrame(rows, columns=["part", "metric", "value", "sd_draws", "n_draws", "n"])


def read(path: Path, seed: int) -> ExternalFeatures:
    """Read a file of features; `UserError` if it is not as described in this module."""
    file = read_file(path)
    features, views = file.features, file.views
    train = _train(path, file.arrays.get("train"), len(features), seed)
    largest = max(float(np.abs(each).max()) for each in (features, views) if each is not None) or 1.0
    factors: dict[str, NDArray[Any]] = {} if file.labels is None else {"label": file.labels}
    factors |= {name[7:]: array for name, array in file.arrays.items() if name[:7] == "factor_"}
    return ExternalFeatures(
        features=features / largest,
        views=None if views is None else views / largest,
        centred=_centred(path, "features", features).astype(np.float32),
        parts=file.parts,
        factors={name: _factor(path, name, array, train) for name, array in factors.items()},
        train=train,
    )


def _centred(path: Path, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns [N, …] minus their means, divided by their largest values; a constant column becomes 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        centred = values - values.mean(axis=0)
        largest = np.abs(centred).max(axis=0)
        varies = values.max(axis=0) > values.min(axis=0)  # rounding: a constant minus its mean is not exactly 0
        centred = np.where(varies, centred / np.where(largest > 0, largest, 1.0), 0.0)
    if not np.isfinite(centred).all():
        raise UserError(f"{path}: {name}: values are too large to compute with; divide all of them by a constant")
    return centred


def _factor(path: Path, name: str, array: NDArray[Any], train: NDArray[np.bool_]) -> NDArray[Any]:
    where = "labels" if name == "label" else f"factor_{name}"
    if array.shape != train.shape or array.dtype.kind not in "fiub":
        raise UserError(f"{path}: {where}: expected {len(train)} numbers, found {array.dtype} {list(array.shape)}")
    for rows, what in ((train, "fitted to"), (~train, "scored")):
        if (array[rows] == array[rows][0]).all():
            raise UserError(f"{path}: {where}: is {array[rows][0]} in all rows that are {what}; nothing to read")
    if array.dtype.kind == "f":
        values = floats(path, where, array, 1, np.float64)
        return values if name.endswith("_deg") else _centred(path, where, values)
    found = Counter(array[train].tolist())
    for label in np.unique(array).tolist():
        if found[label] < 2:
            raise UserError(f"{path}: {where}: class {label} has {found[label]} rows for fitting; 2 are needed")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def _train(path: Path, array: NDArray[Any] | None, n: int, seed: int) -> NDArray[np.bool_]:
    if array is None:
        order = np.random.Generator(np.random.PCG64(derive(seed, "rows to fit to"))).permutation(n)
        array = order < round(TRAIN_SHARE * n)
    if array.shape != (n,) or array.dtype != np.bool_:
        raise UserError(f"{path}: train: expected {n} bools, found {array.dtype} {list(array.shape)}")
    if min(array.sum(), (~array).sum()) < MIN_ROWS:
        raise UserError(f"{path}: {array.sum()} rows to fit to and {(~array).sum()} to score on; each needs {MIN_ROWS}")
    return array


def _sine_and_cosine(angle_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = angle_deg * (math.pi / 180)
    return np.stack((np.sin(angle), np.cos(angle)), axis=1)


def _column_sets(file: ExternalFeatures, draws: int, seed: int) -> ColumnSets:
    """Return all columns, those of each part, and for each part `draws` random column subsets of its width."""
    parts = {"full": (0, file.features.shape[1])} | file.parts
    controls = {f"random_{name}": columns for name, columns in file.parts.items()} if draws else {}
    return column_sets(parts, controls, seed, draws)
