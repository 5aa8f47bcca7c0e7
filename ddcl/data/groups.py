"""Groups of images that are not independent: whole groups are held out together.

Examples are patches of one photograph, pictures of one patient, or frames of one film: an image is not new if a related
one was seen in training. A data set gives one integer per image, and images with the same number form a group. Without
groups, each image is its own group.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.base.errors import UserError

FEWEST = 2  # groups of a class: one that stays, one that is held out


def held_groups(
    labels: NDArray[np.int64], groups: NDArray[np.int64] | None, share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which images [N] are held out: of each class whole groups, until they are its `share`, at least one.

    labels, groups: [N]; None: each image is a group. The last group may exceed the share; one group of each class is
    always kept. A group with images of several classes is held out whole, and counts for each of them. Without groups,
    ``round(share · n)`` of a class's n images are held out. `UserError` if a class would not be on both sides.
    """
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        units, sizes = (rows, np.ones_like(rows)) if groups is None else np.unique(groups[rows], return_counts=True)
        if len(units) < FEWEST:
            has = f"has {len(units)} image" if groups is None else f"has {len(units)} group of images"
            raise UserError(
                f"cannot hold out {share} of {len(labels)} images: class {label} {has}; {FEWEST} are needed"
            )
        order = rng.permutation(len(units))
        if groups is None:
            held[rows[order[: min(max(1, round(share * len(rows))), len(rows) - 1)]]] = True
            continue
        order = order[~np.isin(units[order], groups[held])]  # those that no class before it took
        missing = max(1, round(share * len(rows))) - int(held[rows].sum())
        n_taken = int(np.searchsorted(np.cumsum(sizes[order]), missing)) + 1 if missing > 0 else 0
        held |= np.isin(groups, units[order[: max(0, min(n_taken, len(order) - 1))]])
    for side in (held, ~held):
        if len(lost := np.setdiff1d(labels, labels[side])):
            raise UserError(
                f"cannot hold out {share} of {len(labels)} images: class {lost[0]} shares its groups with others"
            )
    return held


def leading_groups(groups: Tensor | None, order: Tensor, n: int) -> tuple[Tensor, int]:
    """Return the images `order` [M] with whole groups in front, and how many images these are: n, or just above.

    groups: [N], of all images; None: each is its own, and `order` stays. Groups come in the order of their first image.
    At least one group stays behind; `UserError` if there is only one group.
    """
    if groups is None:
        return order, n
    own = groups[order].numpy()
    known, first, sizes = np.unique(own, return_index=True, return_counts=True)
    if len(known) < FEWEST:
        raise UserError(f"cannot hold out {n} of {len(order)} images: all are in one group")
    met = np.argsort(first)
    n_taken = min(int(np.searchsorted(np.cumsum(sizes[met]), n)) + 1, len(known) - 1)
    leads = torch.from_numpy(np.isin(own, known[met[:n_taken]]))
    return torch.cat((order[leads], order[~leads])), int(leads.sum())
