"""Losses that more than one method uses. Each returns a scalar; the methods apply stop-gradients themselves.

B is this process's share of the batch; "the batch" means the batch of all processes together
(`ddcl.core.distributed`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddcl.core import distributed


def full_precision(z: Tensor) -> Tensor:
    """Return z as float32 if it is narrower: losses are not computed in half precision; float64 stays."""
    return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the row-wise cosine [B] of a, b [B, d], in [-1, 1].

    torch's ``cosine_similarity(dim=1, eps=1e-8)``, as in the official SimSiam and DDCL code.
    """
    return F.cosine_similarity(a, b, dim=1, eps=1e-8)


def mean_cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the batch mean of `cosine`."""
    return cosine(a, b).mean()


def byol_loss(p: Tensor, target: Tensor) -> Tensor:
    """Return the mean square of p / ‖p‖ − target / ‖target‖, rows of [B, d]: 2 − 2 cos (Grill et al. 2020, eq. 2)."""
    return 2 - 2 * mean_cosine(p, target)


def group_means(values: Tensor, groups: int) -> Tensor:
    """Return the means [groups] of equal, consecutive groups of a batch's values [B]; `groups` must divide B.

    With several processes, each returns the means of the groups in its share of the batch.
    """
    processes = distributed.processes()
    if groups == 1:
        return distributed.mean(values.view(1, -1).mean(dim=1))
    if groups % processes or len(values) * processes % groups:
        shared = f" on {processes} processes" if processes > 1 else ""
        raise ValueError(f"a batch of {len(values) * processes} cannot be divided into {groups} equal groups{shared}")
    return values.view(groups // processes, -1).mean(dim=1)


def standardise(z: Tensor) -> Tensor:
    """Return z [B, d] with mean 0 and (biased) variance 1 in each column: BatchNorm without affine or memory."""
    if distributed.processes() == 1:
        return F.batch_norm(z, None, None, training=True, eps=1e-5)
    mean, var = distributed.moments(z, [0])
    return (z - mean) * (var + 1e-5).rsqrt()


def cross_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """Return the [d, d] cross-correlation matrix C of two views' projections z1, z2 [B, d].

    Zbontar et al. 2021 (arXiv 2103.03230), eq. 2: columns standardised over the batch, then ``z1ᵀ z2 / B``.
    """
    return distributed.total(standardise(z1).T @ standardise(z2)) / (len(z1) * distributed.processes())


def barlow_twins_loss(z1: Tensor, z2: Tensor, offdiag_weight: float) -> Tensor:
    """Return ``Σ_i (C_ii − 1)² + offdiag_weight · Σ_{i≠j} C_ij²`` (Zbontar et al. 2021, eq. 1)."""
    c = cross_correlation(z1, z2)
    on_diagonal = (torch.diagonal(c) - 1).square().sum()
    off_diagonal = c.square().sum() - torch.diagonal(c).square().sum()
    return on_diagonal + offdiag_weight * off_diagonal


def info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of matching each row of a [B, d] to the same row of b [B, d], among all rows, by cosine.

    van den Oord et al. 2018 (arXiv 1807.03748), eq. 4, with cosines / temperature as log scores.
    """
    candidates = F.normalize(distributed.all_rows(b), dim=1)  # of all processes
    own = torch.arange(len(a), device=a.device) + distributed.rank() * len(a)
    return F.cross_entropy(F.normalize(a, dim=1) @ candidates.T / temperature, own)


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Return SimCLR's loss of two views' projections z1, z2 [B, d] (Chen et al. 2020, arXiv 2002.05709, eq. 1).

    The positive of each row is its other view, among the 2 B − 1 other rows of both views. Mean over the 2 B rows.
    """
    z = F.normalize(torch.cat([z1, z2]), dim=1)  # [2 B, d]
    others = torch.cat([F.normalize(distributed.all_rows(each), dim=1) for each in (z1, z2)])  # of all processes
    row = torch.arange(len(z1), device=z.device) + distributed.rank() * len(z1)
    first, second = row, row + len(others) // 2  # positions of the two views among the others
    logits = z @ others.T / temperature
    oneself = F.one_hot(torch.cat([first, second]), len(others)).bool()
    return F.cross_entropy(logits.masked_fill(oneself, -math.inf), torch.cat([second, first]))


def _columns(z: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return the number n of rows of all processes' z [B, d], their means and their variances (n − 1) by column."""
    n = len(z) * distributed.processes()
    mean, biased = distributed.moments(z, [0])
    return n, mean, biased * n / (n - 1)


def std_hinge(z: Tensor) -> Tensor:
    """Return the mean over columns of ``max(0, 1 − √(Var + 1e-4))`` of z [B, d] (Bardes et al. 2022, eq. 1 and 2)."""
    return F.relu(1 - (_columns(z)[2] + 1e-4).sqrt()).mean()


def covariance(z: Tensor) -> Tensor:
    """Return ``Σ_{i≠j} C_ij² / d``, C the covariance matrix of z's columns [B, d] (Bardes et al. 2022, eq. 3 and 4)."""
    n, mean, _ = _columns(z)
    c = distributed.total((z - mean).T @ (z - mean)) / (n - 1)  # [d, d]
    return (c.square().sum() - torch.diagonal(c).square().sum()) / z.shape[1]


def vicreg_loss(
    z1: Tensor, z2: Tensor, invariance_weight: float, std_weight: float, covariance_weight: float
) -> Tensor:
    """Return VICReg's loss of two views' projections z1, z2 [B, d] (Bardes et al., ICLR 2022, arXiv 2105.04906, eq. 6).

    As in the official code, the sum of the two views' std terms is halved, but not that of their covariance terms.
    """
    std = 0.5 * (std_hinge(z1) + std_hinge(z2))
    return (
        invariance_weight * F.mse_loss(z1, z2)
        + std_weight * std
        + covariance_weight * (covariance(z1) + covariance(z2))
    )


def std_ratio(z: Tensor) -> Tensor:
    """Return the mean over columns of the std of the l2-normalised rows of z [B, d], times √d.

    1 for directions spread evenly over the sphere, 0 for full collapse (Chen and He 2021, arXiv 2011.10566, fig. 2).
    """
    return F.normalize(z.float(), dim=1).std(dim=0).mean() * math.sqrt(z.shape[1])


def effective_rank(h: Tensor) -> Tensor:
    """Return RankMe of features h [N, D]: exp of the entropy of the normalised singular values, in [1, min(N, D)].

    Garrido et al. 2023 (arXiv 2210.02885), eq. 3, here of the centred features, so that a constant adds no rank.
    """
    h = h.double()
    singular = torch.linalg.svdvals(h - h.mean(dim=0))
    p = singular / singular.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return torch.exp(-(p * torch.log(p.clamp_min(1e-12))).sum())


def squared_norm(module: nn.Module) -> Tensor:
    """Return the sum of squares of all parameters of `module`: what the official check_ortho.py prints of each head."""
    return torch.stack([p.square().sum() for p in module.parameters()]).sum()
