"""Pixel operations shared by several modules: on a subset of images, luma, and separable filters."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcl.data.ops.parameters import Params

MATRIX_MAX_SIDE_PX = 64  # up to this side a blur is two small matrix products per image, above it a convolution


def where_applied(x: Tensor, params: Params, change: Callable[[Tensor, Params], Tensor]) -> Tensor:
    """Return x [B, …] with `change` made to those images whose params["applied"] is true; only these are computed."""
    index = params["applied"].nonzero()[:, 0]
    if len(index) == 0:
        return x
    if len(index) == len(x):
        return change(x, params)
    part = {key: value.index_select(0, index) for key, value in params.items()}
    return x.index_copy_(0, index, change(x.index_select(0, index), part))


def luma(x: Tensor) -> Tensor:
    """Return the brightness [B, 1, H, W] of x [B, 3, H, W], with torchvision's weights (ITU-R BT.601)."""
    return x[:, 0:1].mul(0.2989).add_(x[:, 1:2], alpha=0.587).add_(x[:, 2:3], alpha=0.114)


def separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return rows · x · columnsᵀ [B, C, R, S] of x [B, C, H, W], rows [B or 1, R, H] and columns [B or 1, S, W]."""
    batch, channels, height, _ = x.shape
    x = torch.matmul(x.flatten(1, 2), columns.mT).view(batch, channels, height, columns.shape[1])
    return torch.matmul(rows[:, None], x)


def blur(x: Tensor, sigma_px: Tensor, radius_px: int) -> Tensor:
    """Return x [B, C, H, W] blurred by Gaussians of sigma_px, [B] or [1] for all, with reflected edges.

    The edge pixel is not repeated (torchvision's "reflect"); a kernel wider than the image is reflected repeatedly.
    """
    taps = torch.arange(-radius_px, radius_px + 1, device=x.device, dtype=torch.float32)
    weights = (-0.5 * (taps / sigma_px[:, None]).square()).softmax(dim=1)  # [B or 1, taps]
    weights = F.threshold(weights, 1e-10, 0.0)  # products of smaller ones are denormal numbers, which CPUs are slow at
    height, width = x.shape[-2:]
    if max(height, width) > MATRIX_MAX_SIDE_PX:
        return _blur_by_convolution(x, weights, radius_px)
    columns = _blur_matrix(weights, width)
    rows = columns if height == width else _blur_matrix(weights, height)
    return separable(x, rows, columns)


def _blur_matrix(weights: Tensor, side_px: int) -> Tensor:
    """Return [B, side, side]: the blur of a row as a matrix, from weights [B, taps]."""
    taps = weights.shape[1]
    return (weights @ _reflection(side_px, taps // 2, weights.device)).view(-1, side_px, side_px)


def _reflected_index(side_px: int, radius_px: int, device: torch.device) -> Tensor:
    """Return [side + 2 · radius] int64: which pixel stands at positions -radius … side + radius - 1."""
    period = max(1, 2 * (side_px - 1))
    index = torch.arange(-radius_px, side_px + radius_px, device=device).remainder(period)
    return torch.minimum(index, period - index) if side_px > 1 else torch.zeros_like(index)


@lru_cache(maxsize=32)
def _reflection(side_px: int, radius_px: int, device: torch.device) -> Tensor:
    """Return [taps, side · side]: 1 where tap t at output pixel i reads input pixel j."""
    index = _reflected_index(side_px, radius_px, device).unfold(0, side_px, 1)  # [taps, side]
    return F.one_hot(index, side_px).to(torch.float32).flatten(1)


def _blur_by_convolution(x: Tensor, weights: Tensor, radius_px: int) -> Tensor:
    """Blur with one depthwise convolution per axis, every image and channel a group."""
    batch, channels, height, width = x.shape
    x = x[:, :, _reflected_index(height, radius_px, x.device)][..., _reflected_index(width, radius_px, x.device)]
    kernels = weights.expand(batch, -1).repeat_interleave(channels, 0)[:, None]  # [B·C, 1, taps]
    x = x.reshape(1, batch * channels, height + 2 * radius_px, width + 2 * radius_px)
    x = F.conv2d(x, kernels[:, :, None, :], groups=batch * channels)
    return F.conv2d(x, kernels[..., None], groups=batch * channels).view(batch, channels, height, width)
