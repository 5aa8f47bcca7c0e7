"""Geometry of features: invariance, orthogonality, similarity of two representations, spread. Formulae, no files.

h [N, d] are features of N images, views [V, N, d] those of V augmented views of each. Everything is computed in
float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ddcl.core.losses import cosine, effective_rank, std_ratio
from ddcl.evaluate.store import ColumnSets
from ddcl.schema.metrics import CKA

Heads: TypeAlias = Sequence[Mapping[str, tuple[Tensor, Tensor]]]  # per view: by part, prediction and projection [N, d]
CHUNK_BYTES = 2**26  # of distances in memory at a time
UNIFORMITY_T = 2.0  # of the Gaussian potential (Wang and Isola 2020)


def invariance(views: Tensor) -> float:
    """Return within-image variance over views / total variance, both summed over columns (ddof 1).

    0: views of an image are equal (or nothing varies at all); 1: they differ as much as those of different images.
    """
    views = views.double()
    within = views.var(dim=0).mean(dim=0).sum()
    total = views.flatten(0, 1).var(dim=0).sum()
    return float(within / total) if total > 0 else 0.0


def cosines(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """Return the cosines [2, N] of one view's prediction with the other's projection, in both directions.

    first, second: (prediction, projection), each [N, d], of the two views; the same tensor twice without a predictor.
    """
    towards, back = cosine(first[0].double(), second[1].double()), cosine(second[0].double(), first[1].double())
    return torch.stack((towards, back))


def cosine_statistics(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Return statistics that distinguish orthogonal pairs from cosines that cancel on average.

    abs_mean_cosine: |mean cos|, the only one that DDCL's loss minimises. mean_abs_cosine: mean |cos| of single pairs.
    sd_cosine: their standard deviation. mean_abs_cosine_shuffled: mean |cos| with a view of another image, the control:
    views are orthogonal because of their distortions only if they are more orthogonal than views of different images.
    """
    own = cosines(first, second)
    shuffled = cosines(first, (second[0].roll(1, dims=0), second[1].roll(1, dims=0)))
    return {
        "abs_mean_cosine": float(own.mean().abs()),
        "mean_abs_cosine": float(own.abs().mean()),
        "sd_cosine": float(own.std()),
        "mean_abs_cosine_shuffled": float(shuffled.abs().mean()),
    }


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Return the linear CKA of x [N, d] and y [N, e], in [0, 1] (Kornblith et al. 2019, arXiv 1905.00414, eq. 3 and 4).

    ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖), Frobenius norms of centred features. 1 for rotated and scaled copies, 0 if one is
    constant. Of independent features it falls to 0 only as N grows: d·e normal columns give about √(d·e) / N.
    """
    x, y = (h.double() - h.double().mean(dim=0) for h in (x, y))
    norms = (x.T @ x).norm() * (y.T @ y).norm()
    return float((y.T @ x).square().sum() / norms) if norms > 0 else 0.0


def alignment(views: Tensor) -> float:
    """Return E ‖f(x) − f(x')‖² of the first two views of [V, N, d], l2-normalised: 0 … 4.

    Wang and Isola 2020 (arXiv 2005.10242), eq. 1 with α = 2; lower means more similar views.
    """
    first, second = F.normalize(views[0].double(), dim=1), F.normalize(views[1].double(), dim=1)
    return float((first - second).square().sum(dim=1).mean())


def uniformity(h: Tensor) -> float:
    """Return log E exp(−2 ‖f(x) − f(y)‖²) over pairs of images, l2-normalised (ibid., eq. 2 with t = 2).

    0: all at one point. Lower values mean a more even cover of the sphere, towards −4 in many dimensions. Pairs are
    processed in chunks, so that memory is bounded for any N.
    """
    x = F.normalize(h.double(), dim=1)
    squares, n, total = x.square().sum(dim=1), len(x), x.new_zeros(())
    for start in range(0, n, rows := max(1, CHUNK_BYTES // (8 * n))):
        stop = start + rows
        squared = squares[start:stop, None] + squares[start:] - 2 * x[start:stop] @ x[start:].T
        total += squared.clamp_(min=0).mul_(-UNIFORMITY_T).exp_().triu_(diagonal=1).sum()
    return float((total / (n * (n - 1) / 2)).log())


def spread(h: Tensor) -> dict[str, float]:
    """Return how widely features h [N, d] are spread: RankMe, the std ratio of `ddcl.core.losses`, and uniformity."""
    return {
        "effective_rank": float(effective_rank(h)),
        "std_ratio": float(std_ratio(h)),
        "uniformity": uniformity(h),
    }


def movement(views: Tensor, heads: Heads, part: str) -> dict[str, float]:
    """Return how much the views [V, N, d] of a part differ; `pairs` are compared by their cosine."""
    first, second = pairs(views, heads, part)
    return {"invariance": invariance(views), "alignment": alignment(views)} | cosine_statistics(first, second)


def pairs(views: Tensor, heads: Heads, part: str) -> list[tuple[Tensor, Tensor]]:
    """Return prediction and projection of the first two views: of the part's heads, else its features themselves."""
    return [head.get(part, (view, view)) for head, view in zip(heads, views[:2], strict=True)]


def geometry(
    h: Tensor, views: Tensor | None, heads: Heads, sets: ColumnSets
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return, by (part, metric), the measures of features [N, D] and views [V, N, D], for each column set [sets].

    heads: the result of `Method.projections` for the first two views. views None: measures that need views are omitted.
    """
    measured: dict[tuple[str, str], NDArray[np.float64]] = {}
    for part, columns in sets.items():
        rest = sets.get({"dvr": "dir", "random_dvr": "random_dir"}.get(part, ""))
        found = []
        for number, own in enumerate(columns):
            values = spread(h[:, own])
            if views is not None:
                values |= movement(views[..., own], heads, part)
            if rest is not None:
                values[CKA.name] = linear_cka(h[:, own], h[:, rest[number]])
            found.append(values)
        measured |= {(part, metric): np.array([own[metric] for own in found]) for metric in found[0]}
    return measured
