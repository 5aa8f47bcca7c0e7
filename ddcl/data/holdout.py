"""Training images in the place of the test split: what settings are chosen on, without a look at the test images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.core.streams import derive
from ddcl.data.readers.source import NO_LABEL, ArraySplit, FileSplit
from ddcl.schema.suites import HoldoutConfig

Split = ArraySplit | FileSplit


def held_out(dataset: str, splits: Mapping[str, Split], config: HoldoutConfig) -> dict[str, Split]:
    """Return the splits with the same share of each class's training images as `test`, and the rest as `train`.

    The former test split is dropped. Pretraining does not see the held-out images either: where it has a split of its
    own, its images with labels must be the training images in order (STL-10), and the held-out ones are left out.
    """
    train = splits["train"]
    held = _draw(train.labels, config)
    found = {"train": _subset(train, ~held), "test": _subset(train, held)}
    if "pretrain" in splits:
        labels = splits["pretrain"].labels
        labelled = np.flatnonzero(labels != NO_LABEL)
        if not np.array_equal(labels[labelled], train.labels):
            raise UserError(
                f"data set {dataset}: holdout: split pretrain has {len(labelled)} images with labels that are not the "
                f"{len(train.labels)} training images in order, so the held-out ones cannot be left out of it"
            )
        kept = np.ones(len(labels), bool)
        kept[labelled[held]] = False
        found["pretrain"] = _subset(splits["pretrain"], kept)
    return found


def _draw(labels: NDArray[np.int64], config: HoldoutConfig) -> NDArray[np.bool_]:
    """Return which training images [N] are held out: of each class its share, at least one."""
    rng = np.random.Generator(np.random.PCG64(derive("holdout", config.seed)))
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        held[rng.permutation(own)[: max(1, round(config.frac * len(own)))]] = True
    return held


def _subset(split: Split, kept: NDArray[np.bool_]) -> Split:
    if isinstance(split, FileSplit):
        return FileSplit([name for name, keep in zip(split.names, kept, strict=True) if keep], split.labels[kept])
    factors = {name: values[kept] for name, values in split.factors.items()}
    return ArraySplit(split.images[kept], split.labels[kept], factors)
