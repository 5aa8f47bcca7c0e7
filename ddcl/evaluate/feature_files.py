"""Files of externally computed features: their format, and reading them. Nothing is unpickled.

The arrays of the npz file:
    features       [N, D], of N images, one row each; any floating point
    labels         [N] integers, the class of each image
    views          [V, N, D], features of two or more augmented views of each image
    part_<name>    [start, stop], columns of a part, such as part_dir and part_dvr; names full and random_… are reserved
    factor_<name>  [N], another known property of each image
    train          [N] bool, rows that readouts are fitted to
All but the first are optional here; the code that reads the file decides what is required and what is not allowed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ddcl.base.errors import UserError
from ddcl.base.files import damage_named

TOLD = "npz file", "see docs/diagnostics.md for its format"
OTHERS = ("labels", "views", "train", "part_", "factor_")  # besides features; names that end in _ are prefixes
MOST_BYTES = 32 * 2**30  # of an external file, unpacked: four times the weights of ViT-g with its optimiser


@dataclass(frozen=True)
class FeatureFile:
    """The content of a file of features: floats are finite, and shapes match.

    arrays: all other arrays, unchanged, by name.
    """

    features: NDArray[Any]
    labels: NDArray[np.int64] | None
    views: NDArray[Any] | None
    parts: dict[str, tuple[int, int]]
    arrays: dict[str, NDArray[Any]]


def read_file(path: Path, dtype: DTypeLike = np.float64, allowed: Sequence[str] = OTHERS) -> FeatureFile:
    """Read a file of features, as `dtype`; `UserError` if it is not as described in this module.

    allowed: which of `OTHERS` the file may contain.
    """
    with damage_named(path, *TOLD):
        _check_size(path)
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise ValueError("it is a single array, expected an npz file with several")
            arrays = {name: np.asarray(file[name]) for name in file.files}
    _check_names(path, arrays, allowed)
    features = floats(path, "features", arrays.pop("features"), 2, dtype)
    n, width = features.shape
    if not width or not n:
        what = "row" if width else "column"
        raise UserError(f"{path}: features: expected at least one {what}, found {list(features.shape)}")
    views = floats(path, "views", arrays.pop("views"), 3, dtype) if "views" in arrays else None
    if views is not None and (len(views) < 2 or views.shape[1:] != features.shape):
        raise UserError(f"{path}: views: expected [2 or more, {n}, {width}], found {list(views.shape)}")
    labels = arrays.pop("labels", None)
    if labels is not None and (labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer)):
        raise UserError(f"{path}: labels: expected {n} integers, found {labels.dtype} {list(labels.shape)}")
    names = [name for name in arrays if name.startswith("part_")]
    parts = {_part(path, name): _range(path, name, arrays.pop(name), width) for name in names}
    return FeatureFile(features, None if labels is None else labels.astype(np.int64), views, parts, arrays)


def floats(path: Path, name: str, array: NDArray[Any], n_dims: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return an array as `dtype`; `UserError` unless it has floats, all finite, of `n_dims` axes."""
    if array.ndim != n_dims or not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{path}: {name}: expected floats with {n_dims} axes, found {array.dtype} {list(array.shape)}")
    with np.errstate(over="ignore"):
        values: NDArray[Any] = array.astype(dtype)
    if not np.isfinite(values).all():
        raise UserError(f"{path}: {name}: {int((~np.isfinite(values)).sum())} values are not finite")
    return values


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        n_bytes = sum(entry.file_size for entry in archive.infolist())
    if n_bytes > MOST_BYTES:
        raise UserError(f"{path}: unpacks to {n_bytes / 2**30:.0f} GiB; the limit is {MOST_BYTES // 2**30} GiB")


def _check_names(path: Path, arrays: dict[str, NDArray[Any]], allowed: Sequence[str]) -> None:
    """Raise `UserError` for an array that is not allowed, and where there are no features."""
    prefixes = tuple(name for name in allowed if name.endswith("_"))
    unknown = [name for name in arrays if name not in ("features", *allowed) and not name.startswith(prefixes)]
    if unknown:
        *kinds, last = [f"{name}<name>" if name in prefixes else name for name in ("features", *allowed)]
        raise UserError(f"{path}: unknown arrays {', '.join(unknown)}; allowed are {', '.join(kinds)} or {last}")
    if "features" not in arrays:
        raise UserError(f"{path}: no array `features` [N, D]; found {', '.join(arrays) or 'none'}")


def _part(path: Path, name: str) -> str:
    part = name.removeprefix("part_")
    if not part:
        raise UserError(f"{path}: {name}: the part has no name; expected part_<name>, such as part_dvr")
    if part == "full" or part.startswith("random_"):
        raise UserError(
            f"{path}: {name}: full (all columns) and random_<name> (controls) are reserved names; choose another"
        )
    return part


def _range(path: Path, name: str, array: NDArray[Any], width: int) -> tuple[int, int]:
    if array.shape == (2,) and np.issubdtype(array.dtype, np.integer):
        start, stop = (int(edge) for edge in array)
        if 0 <= start < stop <= width:
            return start, stop
    raise UserError(f"{path}: {name}: expected [start, stop] with 0 ≤ start < stop ≤ {width}, found {array.tolist()}")
