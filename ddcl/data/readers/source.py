"""The input and the result of a reader.

A reader is a function ``(Request) -> {split: ArraySplit | FileSplit}``. Splits are `train` and `test`, and `pretrain`
if pretraining uses other images than `train` (STL-10's unlabelled ones). `prepare` is the only caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddcl.schema.suites import WHITE

NO_LABEL = -1  # of images without a known class; only in the split `pretrain`


@dataclass(frozen=True)
class Request:
    """The input of a reader, from `prepare`.

    dataset: name in config/datasets, for messages.
    root: the folder in which data sets lie (`data_root`, or the environment's DDCL_DATA).
    side_px: side of the images that an `ArraySplit` must have.
    settings: the reader's own settings, an instance of its model in `ddcl.schema.registry`.
    download: whether a missing data set may be fetched.
    obtain: text for the message if it is missing: what to get, and where.
    background: RGB, 0 … 255, under transparent pixels of images that the reader decodes.
    """

    dataset: str
    root: Path
    side_px: int
    settings: Any
    download: bool
    obtain: str
    background: Sequence[int] = tuple(WHITE)


@dataclass(frozen=True)
class ArraySplit:
    """Small images, all of one size: uint8 [N, 3, S, S], int64 labels [N], and true factors [N] by name if known.

    groups: int64 [N], the same number for images that are not independent (`ddcl.data.groups`); None: all are.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    factors: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    groups: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class FileSplit:
    """Large images that stay files: names relative to `Request.root`, sorted within a class, and int64 labels [N].

    classes: the names of class folders. ignored: the number of files that are not images, by kind. groups: as in
    `ArraySplit`.
    """

    names: Sequence[str]
    labels: NDArray[np.int64]
    classes: Sequence[str] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    groups: NDArray[np.int64] | None = None


Splits: TypeAlias = dict[str, ArraySplit] | dict[str, FileSplit]
