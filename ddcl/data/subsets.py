"""Fixed lists of training images for semi-supervised evaluation: config/subsets/<data set>_<name>.json.

For each class, a list has positions among the class's training images in the data set's own order (files: sorted by
name). It can therefore be shipped without the images, and selects the same ones on every machine.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.core.seeds import derive
from ddcl.schema.subsets import SubsetConfig, read_subset_config, subset_path


def draw_subset(dataset: str, n_classes: int, n_available: int, per_class: int, seed: int) -> SubsetConfig:
    """Return a list of `per_class` positions out of the first `n_available` of each class, drawn from `seed`."""
    rng = np.random.Generator(np.random.PCG64(derive(dataset, "subset", per_class, seed)))
    positions = [sorted(rng.choice(n_available, per_class, replace=False).tolist()) for _ in range(n_classes)]
    return SubsetConfig(dataset=dataset, seed=seed, n_available=n_available, per_class=per_class, positions=positions)


def read_subset(dataset: str, name: str, labels: Tensor) -> Tensor:
    """Return the indices [n] of the images that the list `name` of `dataset` names, in order.

    labels: [N] int64, of all training images. `UserError` if a class has fewer images than the list needs.
    """
    path, positions = subset_path(dataset, name), read_subset_config(dataset, name).positions
    n_classes = int(labels.max()) + 1
    if len(positions) != n_classes:
        raise UserError(f"{path}: has {len(positions)} classes, but {dataset} has {n_classes}")
    found = []
    for label, wanted in enumerate(positions):
        own = (labels == label).nonzero()[:, 0]
        if max(wanted) >= len(own):
            raise UserError(f"{path}: needs image {max(wanted)} (from 0) of class {label}, which has {len(own)} images")
        found.append(own[torch.tensor(wanted)])
    return torch.cat(found).sort().values
