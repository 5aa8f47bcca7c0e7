"""Gaussian blur."""

from __future__ import annotations

import torch
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import AUTHORS_SIDE_PX, Params, between, blur_radius_px
from ddcl.data.ops.pixels import blur, where_applied
from ddcl.schema.ops import GaussianBlurSettings


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: GaussianBlurSettings) -> Params:
    """Draw the blur of B images: applied [B] bool, sigma_px [B] (0: unchanged)."""
    u = draws.uniform(name, 2)
    applied = u[:, 0] < settings.prob
    low, high = settings.sigma_px
    scale = min(size_px) / AUTHORS_SIDE_PX if settings.scale_with_side else 1.0
    return {"applied": applied, "sigma_px": torch.where(applied, between(u[:, 1], low * scale, high * scale), 0.0)}


def apply(x: Tensor, params: Params, settings: GaussianBlurSettings) -> Tensor:
    """Blur the drawn images of x [B, 3, H, W]. The kernel has one size for all, so no image depends on the others."""
    radius = blur_radius_px(settings, min(x.shape[-2:]))
    return where_applied(x, params, lambda part, own: blur(part, own["sigma_px"], radius))
