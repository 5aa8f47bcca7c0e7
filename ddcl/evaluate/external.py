"""Diagnostics of features that come from elsewhere: a file with features, and what is known of the images.

The arrays of the npz file:
    features       [N, D], of N images, one row each; any floating point
    views          [V, N, D], optional: features of two or more augmented views of each image
    part_<name>    [start, stop], optional: columns of a part, such as part_dir and part_dvr; not full or random_…
    factor_<name>  [N], optional: what is known of each image. Floating point: R² of ridge regression; with a name that
                   ends in _deg, of sine and cosine. Integer or bool: balanced accuracy of a linear probe
    train          [N] bool, optional: rows that readouts are fitted to; else three quarters, drawn
Everything is reported of the other rows.
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
from ddcl.base.files import damage_named
from ddcl.core.streams import derive
from ddcl.evaluate.geometry import geometry
from ddcl.evaluate.readout import FactorData, read_classes, read_numbers
from ddcl.evaluate.store import ColumnSets, column_sets
from ddcl.schema.evaluations import LinearSettings

KINDS = "features, views, train, part_<name> or factor_<name>"
TRAIN_SHARE = 0.75  # of the rows, where the file does not say
MIN_ROWS = 4  # to be fitted to, and to be scored on


@dataclass(frozen=True)
class ExternalFeatures:
    """The content of a file of features, checked.

    features, views: divided by one number, which moves nothing that is measured. centred: each column of the features
    without its mean and over its largest value, which a readout does not feel, and float32 can hold.
    factors: numbers like columns of `centred`, but for angles; classes.
    """

    features: NDArray[np.float64]
    views: NDArray[np.float64] | None
    centred: NDArray[np.float32]
    parts: dict[str, tuple[int, int]]
    factors: dict[str, NDArray[Any]]
    train: NDArray[np.bool_]


def diagnose(path: Path, settings: LinearSettings, draws: int, seed: int) -> pd.DataFrame:
    """Return what is measured of the features in `path`, one row per part and metric.

    draws: random column sets, each as wide as a part, as its control: parts random_<name>. seed: of all draws.
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
    """Read a file of features; `UserError` for whatever is not as this module says."""
    told = "npz file", "docs/diagnostics.md says what it holds"
    with damage_named(path, *told), np.load(path, allow_pickle=False) as file:
        arrays = {name: np.asarray(file[name]) for name in file.files}
    known = ("features", "views", "train")
    unknown = [name for name in arrays if name not in known and not name.startswith(("part_", "factor_"))]
    if unknown:
        raise UserError(f"{path}: unknown arrays {', '.join(unknown)}; allowed are {KINDS}")
    if "features" not in arrays:
        raise UserError(f"{path}: no array features [N, D]; found {', '.join(arrays) or 'none'}")
    features = _floats(path, "features", arrays["features"], 2)
    n, width = features.shape
    if not width:
        raise UserError(f"{path}: features: expected one column or more, found {list(features.shape)}")
    views = _floats(path, "views", arrays["views"], 3) if "views" in arrays else None
    if views is not None and (len(views) < 2 or views.shape[1:] != features.shape):
        raise UserError(f"{path}: views: expected [2 or more, {n}, {width}], found {list(views.shape)}")
    train = _train(path, arrays.get("train"), n, seed)
    largest = max(float(np.abs(each).max()) for each in (features, views) if each is not None) or 1.0
    return ExternalFeatures(
        features=features / largest,
        views=None if views is None else views / largest,
        centred=_centred(path, "features", features).astype(np.float32),
        parts={
            _part(path, name): _range(path, name, array, width) for name, array in arrays.items() if name[:5] == "part_"
        },
        factors={
            name[7:]: _factor(path, name, array, train) for name, array in arrays.items() if name[:7] == "factor_"
        },
        train=train,
    )


def _floats(path: Path, name: str, array: NDArray[Any], n_dims: int) -> NDArray[np.float64]:
    if array.ndim != n_dims or not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{path}: {name}: expected floats of {n_dims} axes, found {array.dtype} {list(array.shape)}")
    with np.errstate(over="ignore"):
        values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise UserError(f"{path}: {name}: {int((~np.isfinite(values)).sum())} values are not finite")
    return values


def _centred(path: Path, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns [N, …] without their means and over their largest values; one that does not vary is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        centred = values - values.mean(axis=0)
        largest = np.abs(centred).max(axis=0)
        varies = values.max(axis=0) > values.min(axis=0)  # a mean is rounded: what is left of a constant is not 0
        centred = np.where(varies, centred / np.where(largest > 0, largest, 1.0), 0.0)
    if not np.isfinite(centred).all():
        raise UserError(f"{path}: {name}: values are too large to be computed with; divide them by some number")
    return centred


def _part(path: Path, name: str) -> str:
    part = name.removeprefix("part_")
    if not part:
        raise UserError(f"{path}: {name}: the part has no name; expected part_<name>, such as part_dvr")
    if part == "full" or part.startswith("random_"):
        raise UserError(
            f"{path}: {name}: full is all columns, and random_<name> are the controls; name the part otherwise"
        )
    return part


def _range(path: Path, name: str, array: NDArray[Any], width: int) -> tuple[int, int]:
    if array.shape == (2,) and np.issubdtype(array.dtype, np.integer):
        start, stop = (int(edge) for edge in array)
        if 0 <= start < stop <= width:
            return start, stop
    raise UserError(f"{path}: {name}: expected [start, stop] with 0 ≤ start < stop ≤ {width}, found {array.tolist()}")


def _factor(path: Path, name: str, array: NDArray[Any], train: NDArray[np.bool_]) -> NDArray[Any]:
    if array.shape != train.shape or array.dtype.kind not in "fiub":
        raise UserError(f"{path}: {name}: expected {len(train)} numbers, found {array.dtype} {list(array.shape)}")
    for rows, what in ((train, "fitted to"), (~train, "scored")):
        if (array[rows] == array[rows][0]).all():
            raise UserError(f"{path}: {name}: is {array[rows][0]} in all rows that are {what}: nothing to read")
    if array.dtype.kind == "f":
        values = _floats(path, name, array, 1)
        return values if name.endswith("_deg") else _centred(path, name, values)
    found = Counter(array[train].tolist())
    for label in np.unique(array).tolist():
        if found[label] < 2:
            raise UserError(f"{path}: {name}: class {label} is in {found[label]} rows that are fitted to; 2 are needed")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def _train(path: Path, array: NDArray[Any] | None, n: int, seed: int) -> NDArray[np.bool_]:
    if array is None:
        order = np.random.Generator(np.random.PCG64(derive(seed, "rows to fit to"))).permutation(n)
        array = order < round(TRAIN_SHARE * n)
    if array.shape != (n,) or array.dtype != np.bool_:
        raise UserError(f"{path}: train: expected {n} bools, found {array.dtype} {list(array.shape)}")
    if min(array.sum(), (~array).sum()) < MIN_ROWS:
        raise UserError(
            f"{path}: {array.sum()} rows to fit to and {(~array).sum()} to score; each needs {MIN_ROWS} or more"
        )
    return array


def _sine_and_cosine(angle_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = angle_deg * (math.pi / 180)
    return np.stack((np.sin(angle), np.cos(angle)), axis=1)


def _column_sets(file: ExternalFeatures, draws: int, seed: int) -> ColumnSets:
    """Return all columns, those of each part, and `draws` random sets that are as wide as the part."""
    parts = {"full": (0, file.features.shape[1])} | file.parts
    controls = {f"random_{name}": columns for name, columns in file.parts.items()} if draws else {}
    return column_sets(parts, controls, seed, draws)
