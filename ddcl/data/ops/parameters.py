"""Helpers for parameters of operations, and strengths in pixels for a given image side."""

from __future__ import annotations

import math

from torch import Tensor

from ddcl.schema.ops import ElasticSettings, GaussianBlurSettings

Params = dict[str, Tensor]

AUTHORS_SIDE_PX = 224  # the official code's strengths in pixels are meant for this side
BLUR_RADIUS_SIGMAS = 4.0  # the truncated tails of a Gaussian beyond 4 sigma weigh 6e-5


def between(u: Tensor, low: float, high: float) -> Tensor:
    """Return uniforms u of [0, 1) stretched to [low, high)."""
    return low + (high - low) * u


def blur_radius_px(settings: GaussianBlurSettings, side_px: int) -> int:
    """Return the kernel's half width, which covers 4 of the largest sigma: the kernel has 2 · radius + 1 taps."""
    scale = side_px / AUTHORS_SIDE_PX if settings.scale_with_side else 1.0
    return math.ceil(BLUR_RADIUS_SIGMAS * settings.sigma_px[1] * scale)


def elastic_strength(settings: ElasticSettings, side_px: int) -> tuple[float, float, int]:
    """Return alpha and sigma in pixels, and the half width of the kernel, for images whose shorter side is side_px."""
    scale = side_px / AUTHORS_SIDE_PX if settings.scale_with_side else 1.0
    fitting = [each for each in settings.matched if settings.scale_with_side and side_px <= each.side_px]
    times = min(fitting, key=lambda each: each.side_px).times if fitting else 1.0
    alpha_px, sigma_px = times * settings.alpha_px * scale**2, settings.sigma_px * scale
    return alpha_px, sigma_px, (int(8 * sigma_px + 1) | 1) // 2  # torchvision makes an even number of taps odd: + 1
