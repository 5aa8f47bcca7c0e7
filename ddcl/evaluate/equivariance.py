"""Equivariance, measured as in the literature: do features change predictably with a distortion?

A map (h, ω) → h′ from the features h of a clean image and the parameters ω of a distortion to the features h′ of the
distorted image is fitted to training images. On test images it is scored by its error, and by whether the predicted
view can be told apart from other views of the same image (Garrido et al. 2023, SIE, arXiv 2302.10283, sec. 5:
mean reciprocal rank, hit rates). The map is affine in h for given ω and affine in ω, as the map of SIE is:
h′ = A h + Σ_k ω_k (B_k h + c_k) + c, by ridge regression. Invariant features score at chance level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.evaluate.readout import Ridge, held_out
from ddcl.evaluate.store import ColumnSets
from ddcl.schema.evaluations import LinearSettings

SCORES = ("map_error", "mrr", "hit1", "hit5")  # metric names end in the distortion's name


@dataclass(frozen=True)
class Moved:
    """Images and views of them under one distortion.

    clean: features [N, D]. views: [C, N, D]. params: what each view was distorted with, [C, N, k].
    groups: [N], images of one group are not independent; None: all are.
    """

    clean: Tensor
    views: Tensor
    params: Tensor
    groups: Tensor | None = None

    def like(self, train: Moved) -> Moved:
        """Return this, float64, with features and parameters standardised as those of `train` are."""
        h, omega = train.clean.double(), train.params.double().flatten(0, 1)
        mean, std, mean_omega, std_omega = h.mean(0), _std(h), omega.mean(0), _std(omega)
        clean, views = ((own.double() - mean) / std for own in (self.clean, self.views))
        return Moved(clean, views, (self.params.double() - mean_omega) / std_omega, self.groups)


def _std(x: Tensor) -> Tensor:
    std = x.std(dim=0, correction=0)
    return torch.where(std > 0, std, 1.0)


def score(
    train: Moved, test: Moved, sets: ColumnSets, settings: LinearSettings, seed: int
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return, by part and score, the scores [column sets] of maps fitted to the first view of each image of `train`.

    map_error: Σ ‖ĥ′ − h′‖² / Σ ‖h − h′‖² over images and views: 1 is no better than ignoring the distortion.
    mrr, hit1, hit5: mean of 1 / rank, and share of ranks 1 and up to 5, of the right view among all C of its image, by
    distance to the prediction; ties share their ranks. The penalty is chosen on held-out training images.
    """
    train, test = train.like(train), test.like(train)
    x, y = _inputs(train.clean, train.params[0]), train.views[0]
    held, kept = (rows.to(x.device) for rows in held_out(len(x), train.groups, settings.holdout_frac, seed))
    tried, final = Ridge(x[kept], y[kept]), Ridge(x, y)
    l2 = torch.tensor(settings.l2_weights, dtype=x.dtype, device=x.device).sort(descending=True).values
    asked = torch.stack([_inputs(test.clean, own) for own in test.params])  # [C, M, inputs]
    found: dict[tuple[str, str], NDArray[np.float64]] = {}
    for part, columns in sets.items():
        rows = []
        for own in (torch.from_numpy(each).to(x.device) for each in columns):
            inputs = _columns(own, train.clean.shape[1], train.params.shape[2])
            errors = (tried.predict(x[held], inputs, l2, own) - y[held][:, own]).square().sum(dim=(1, 2))
            best = l2[errors.argmin()][None]  # of equals, the largest penalty
            guess = final.predict(asked.flatten(0, 1), inputs, best, own)[0].view(*asked.shape[:2], -1)
            rows.append(_scores(guess, test.views[..., own], test.clean[:, own]))
        found |= {(part, name): np.array([row[name] for row in rows]) for name in SCORES}
    return found


def _inputs(h: Tensor, omega: Tensor) -> Tensor:
    """Return [h, ω, ω ⊗ h] of h [N, D] and ω [N, k]: [N, D + k + k D]."""
    return torch.cat([h, omega, (omega[:, :, None] * h[:, None]).flatten(1)], dim=1)


def _columns(own: Tensor, width: int, k: int) -> Tensor:
    """Return which columns of `_inputs` a part with the columns `own` of `width` has."""
    products = [width + k + number * width + own for number in range(k)]
    return torch.cat([own, torch.arange(width, width + k, device=own.device), *products])


def _scores(guess: Tensor, views: Tensor, clean: Tensor) -> dict[str, float]:
    """Return the scores of predictions [C, M, w] of views [C, M, w] of the clean features [M, w]."""
    moved = (clean - views).square().sum()
    error = float((guess - views).square().sum() / moved) if moved > 0 else 1.0
    exact = "donot_use_mm_for_euclid_dist"
    distance = torch.cdist(guess.transpose(0, 1), views.transpose(0, 1), compute_mode=exact)  # [M, C, C]: to each view
    own = torch.diagonal(distance, dim1=1, dim2=2)[..., None]
    close = 1e-9 * distance.mean()  # equal but for rounding
    nearer, equal = (distance < own - close).sum(dim=2), ((distance - own).abs() <= close).sum(dim=2)
    ranks = torch.arange(1, len(views) + 1, dtype=own.dtype, device=own.device)
    sums = torch.cat([own.new_zeros(1), (1 / ranks).cumsum(0)])  # of 1 / rank, up to each rank
    reciprocal = (sums[nearer + equal] - sums[nearer]) / equal
    hits = {f"hit{k}": float(((k - nearer).clamp_min(0).minimum(equal) / equal.to(own)).mean()) for k in (1, 5)}
    return {"map_error": error, "mrr": float(reciprocal.mean()), **hits}
