"""The methods written out a second time, from the papers and the authors' protocol, without anything of the suite.

Only operators that numpy and torch share are used, so one text serves twice: on float64 arrays it gives values and
finite differences, on tensors it gives exact gradients. `w` maps parameter names to arrays.

Stop-gradients: a loss takes its targets as arguments. Handing in constants freezes them, which is what ``detach`` does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any
Weights = dict[str, Any]

EPS = 1e-5  # of every BatchNorm


def relu(x: Array) -> Array:
    return x * (x > 0)


def standardised(x: Array) -> Array:
    """Columns with mean 0 and biased variance 1 over the batch."""
    mean = x.mean(0)
    variance = ((x - mean) ** 2).mean(0)
    return (x - mean) / (variance + EPS) ** 0.5


def batch_norm(w: Weights, name: str, x: Array) -> Array:
    return standardised(x) * w[f"{name}.weight"] + w[f"{name}.bias"]


def affine(w: Weights, name: str, x: Array) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def matrix(w: Weights, name: str, x: Array) -> Array:
    return x @ w[f"{name}.weight"].T


def encoder(w: Weights, x: Array) -> Array:
    """Flatten and one affine layer: the encoder of the golden tests."""
    return affine(w, "encoder.1", x.reshape(len(x), -1))


def hidden_layers(w: Weights, name: str, h: Array) -> Array:
    """Two times Linear without bias, BN, ReLU: what all projectors start with."""
    h = relu(batch_norm(w, f"{name}.1", matrix(w, f"{name}.0", h)))
    return relu(batch_norm(w, f"{name}.4", matrix(w, f"{name}.3", h)))


def simsiam_projector(w: Weights, name: str, h: Array) -> Array:
    """Linear-BN-ReLU, Linear-BN-ReLU, Linear with bias-BN(affine=False)."""
    return standardised(affine(w, f"{name}.6", hidden_layers(w, name, h)))


def barlow_projector(w: Weights, name: str, h: Array) -> Array:
    """Linear-BN-ReLU, Linear-BN-ReLU, Linear without bias."""
    return matrix(w, f"{name}.6", hidden_layers(w, name, h))


def two_layers(w: Weights, name: str, h: Array) -> Array:
    """Linear without bias-BN-ReLU, Linear with bias."""
    return affine(w, f"{name}.3", relu(batch_norm(w, f"{name}.1", matrix(w, f"{name}.0", h))))


def predictor(w: Weights, name: str, z: Array) -> Array:
    """Linear without bias-BN-ReLU, Linear with bias."""
    return two_layers(w, name, z)


def mean_cosine(a: Array, b: Array) -> Array:
    """The batch mean of the rows' cosines."""
    total = 0.0
    for u, v in zip(a, b, strict=True):
        total = total + cosine(u, v)
    return total / len(a)


def barlow_twins(z1: Array, z2: Array, offdiag_weight: float) -> Array:
    """Sum of (C_ii - 1)^2 plus weight times the sum of C_ij^2, i != j; C_ij one by one."""
    a, b = standardised(z1), standardised(z2)
    on_diagonal, off_diagonal = 0.0, 0.0
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            c = (a[:, i] * b[:, j]).sum() / len(a)
            if i == j:
                on_diagonal = on_diagonal + (c - 1) ** 2
            else:
                off_diagonal = off_diagonal + c**2
    return on_diagonal + offdiag_weight * off_diagonal


def log(x: Array) -> Array:
    """The natural logarithm, which numpy and torch do not share an operator for."""
    return np.log(x) if isinstance(x, np.ndarray | float) else x.log()


def cosine(u: Array, v: Array) -> Array:
    """The cosine of two vectors."""
    return (u * v).sum() / ((u * u).sum() ** 0.5 * (v * v).sum() ** 0.5)


def found(candidates: list[Array], right: int, temperature: float) -> Array:
    """Minus the log of the right candidate's share of Σ exp(cosine / temperature); candidates: cosines."""
    scores = [math.e ** (each / temperature) for each in candidates]
    return -log(scores[right] / sum(scores))


def info_nce(a: Array, b: Array, temperature: float) -> Array:
    """The mean over rows of a: to find the row of b of the same number among all rows of b."""
    rows = range(len(a))
    return sum(found([cosine(a[i], b[k]) for k in rows], i, temperature) for i in rows) / len(a)


def nt_xent(z1: Array, z2: Array, temperature: float) -> Array:
    """SimCLR's algorithm 1: of 2 N rows, k and k + N are one image; row i looks for its pair among all rows but i."""
    z, n = [*z1, *z2], len(z1)
    total = 0.0
    for i in range(2 * n):
        others = [k for k in range(2 * n) if k != i]
        right = others.index((i + n) % (2 * n))
        total = total + found([cosine(z[i], z[k]) for k in others], right, temperature)
    return total / (2 * n)


def std_hinge(z: Array) -> Array:
    """VICReg's v(Z): how far each column's standard deviation is below 1, on average."""
    variance = ((z - z.mean(0)) ** 2).sum(0) / (len(z) - 1)
    return relu(1 - (variance + 1e-4) ** 0.5).mean()


def covariance(z: Array) -> Array:
    """VICReg's c(Z): the squares of the covariances of different columns, over the number of columns; one by one."""
    centred, d = z - z.mean(0), z.shape[1]
    total = 0.0
    for i in range(d):
        for j in range(d):
            if i != j:
                total = total + ((centred[:, i] * centred[:, j]).sum() / (len(z) - 1)) ** 2
    return total / d


def vicreg(z1: Array, z2: Array, weights: tuple[float, float, float]) -> Array:
    """Invariance, spread and covariance with their weights; the spread of the two views is averaged."""
    invariance = ((z1 - z2) ** 2).mean()
    spread = (std_hinge(z1) + std_hinge(z2)) / 2
    return weights[0] * invariance + weights[1] * spread + weights[2] * (covariance(z1) + covariance(z2))


def supcon(z1: Array, z2: Array, labels: list[int], temperature: float) -> Array:
    """Khosla et al.'s L_out: for each row, the mean of its terms over all other rows of its class, one by one."""
    z, label = [*z1, *z2], [*labels, *labels]
    total = 0.0
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        cosines = [cosine(z[i], z[k]) for k in others]
        same = [place for place, k in enumerate(others) if label[k] == label[i]]
        total = total + sum(found(cosines, place, temperature) for place in same) / len(same)
    return total / len(z)


def cross_entropy(logits: Array, labels: list[int]) -> Array:
    """The mean over rows of minus the log of the label's share of Σ exp(logit)."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        shares = math.e**row
        total = total - log(shares[label] / shares.sum())
    return total / len(logits)


def three_layers(w: Weights, name: str, h: Array) -> Array:
    """Linear-BN-ReLU, Linear-BN-ReLU, Linear with bias."""
    return affine(w, f"{name}.6", hidden_layers(w, name, h))


def layer_norm(w: Weights, name: str, x: Array) -> Array:
    """Rows with mean 0 and biased variance 1, scaled and shifted."""
    mean = x.mean(1)[:, None]
    variance = ((x - mean) ** 2).mean(1)[:, None]
    return (x - mean) / (variance + EPS) ** 0.5 * w[f"{name}.weight"] + w[f"{name}.bias"]


def tanh(x: Array) -> Array:
    return 1 - 2 / (math.e ** (2 * x) + 1)
