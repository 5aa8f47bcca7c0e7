"""Replaces the test split by held-out training images, to choose settings without using the test images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.core.streams import derive
from ddcl.data.groups import held_groups
from ddcl.data.readers.source import NO_LABEL, ArraySplit, FileSplit
from ddcl.schema.suites import HoldoutConfig

Split = ArraySplit | FileSplit


def held_out(dataset: str, splits: Mapping[str, Split], config: HoldoutConfig) -> dict[str, Split]:
    """Return the splits with the same share of each class's training images as `test`, and the rest as `train`.

    Images of one group stay together.

    The original test split is dropped. Pretraining does not see the held-out images either: if it has its own split,
    the labelled images of that split must be the training images in order (STL-10), and held-out ones are removed.
    """
    train = splits["train"]
    try:
        held = held_groups(train.labels, train.groups, config.frac, _stream(config))
    except UserError as error:
        raise UserError(f"data set {dataset}: holdout: {error}") from None
    found = {"train": _subset(train, ~held), "test": _subset(train, held)}
    if "pretrain" in splits:
        labels = splits["pretrain"].labels
        labelled = np.flatnonzero(labels != NO_LABEL)
        if not np.array_equal(labels[labelled], train.labels):
            raise UserError(
                f"data set {dataset}: holdout: the {len(labelled)} labelled images of split pretrain are not the "
                f"{len(train.labels)} training images in order, so held-out ones cannot be removed from it"
            )
        kept = np.ones(len(labels), bool)
        kept[labelled[held]] = False
        found["pretrain"] = _subset(splits["pretrain"], kept)
    return found


def _stream(config: HoldoutConfig) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive("holdout", config.seed)))


def _subset(split: Split, kept: NDArray[np.bool_]) -> Split:
    groups = None if split.groups is None else split.groups[kept]
    if isinstance(split, FileSplit):
        names = [name for name, keep in zip(split.names, kept, strict=True) if keep]
        return FileSplit(names, split.labels[kept], groups=groups)
    factors = {name: values[kept] for name, values in split.factors.items()}
    return ArraySplit(split.images[kept], split.labels[kept], factors, groups)
