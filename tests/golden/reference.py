"""The methods written out a second time, from the papers and the authors' protocol, without anything of the suite.

Only operators that numpy and torch share are used, so one text serves twice: on float64 arrays it gives values and
finite differences, on tensors it gives exact gradients. `w` maps parameter names to arrays.

Stop-gradients: a loss takes its targets as arguments. Handing in constants freezes them, which is what ``detach`` does.
"""

from __future__ import annotations

from typing import Any

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


def predictor(w: Weights, name: str, z: Array) -> Array:
    """Linear without bias-BN-ReLU, Linear with bias."""
    return affine(w, f"{name}.3", relu(batch_norm(w, f"{name}.1", matrix(w, f"{name}.0", z))))


def mean_cosine(a: Array, b: Array) -> Array:
    """The batch mean of the rows' cosines."""
    total = 0.0
    for u, v in zip(a, b, strict=True):
        total = total + (u * v).sum() / ((u * u).sum() ** 0.5 * (v * v).sum() ** 0.5)
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
