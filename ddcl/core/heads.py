"""Projection and prediction heads, layer by layer as in the official SimSiam, Barlow Twins and DDCL code."""

from __future__ import annotations

from torch import nn


def _hidden(in_dim: int, width: int) -> list[nn.Module]:
    return [nn.Linear(in_dim, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]


def simsiam_projector(in_dim: int, out_dim: int, layers: int = 3) -> nn.Sequential:
    """Return an MLP of `layers` layers, [B, in_dim] → [B, out_dim], whose output is standardised (BN without affine).

    "The projection MLP has BN applied to each fully-connected layer, including its output fc. Its output fc has no
    ReLU. … This MLP has 3 layers" (Chen and He 2021, sec. 3); 2 in their CIFAR experiment. DDCL uses it for each part.
    """
    dims = [in_dim] + [out_dim] * (layers - 1)
    return nn.Sequential(
        *(module for dim in dims[:-1] for module in _hidden(dim, out_dim)),
        nn.Linear(out_dim, out_dim),
        nn.BatchNorm1d(out_dim, affine=False),
    )


def two_layers(in_dim: int, hidden_dim: int, out_dim: int) -> nn.Sequential:
    """Return an MLP [B, in_dim] → [B, out_dim] with one hidden layer (BN, ReLU); the output is linear.

    SimCLR's projector (official code: a BN more at the end); BYOL's projector and predictor (Grill et al. 2020,
    sec. 3.3).
    """
    return nn.Sequential(*_hidden(in_dim, hidden_dim), nn.Linear(hidden_dim, out_dim))


def simsiam_predictor(dim: int, hidden_dim: int) -> nn.Sequential:
    """Return the 2-layer bottleneck [B, dim] → [B, dim]; "its output fc does not have BN or ReLU" (ibid.)."""
    return two_layers(dim, hidden_dim, dim)


def three_layers(in_dim: int, hidden_dim: int, out_dim: int) -> nn.Sequential:
    """Return an MLP [B, in_dim] → [B, out_dim] with two hidden layers (BN, ReLU); the output is linear."""
    return nn.Sequential(*_hidden(in_dim, hidden_dim), *_hidden(hidden_dim, hidden_dim), nn.Linear(hidden_dim, out_dim))


def barlow_projector(in_dim: int, out_dim: int) -> nn.Sequential:
    """Return a 3-layer MLP [B, in_dim] → [B, out_dim], the last layer linear (Zbontar et al. 2021, sec. 2.2).

    The standardisation of the output belongs to the loss there (`ddcl.core.losses.standardise`). VICReg's is the same,
    but for biases in front of its BatchNorms, which those cancel.
    """
    return nn.Sequential(
        *_hidden(in_dim, out_dim),
        *_hidden(out_dim, out_dim),
        nn.Linear(out_dim, out_dim, bias=False),
    )
