"""Image operations that leave every pixel in its place: colour jitter, greyscale, Gaussian blur.

`sample_X(draws, name, size_px, settings)` returns the parameters of B images, each [B, …] and a function of the draws
only; `apply_X(x, params, settings)` changes images x, float32 [B, 3, H, W] in [0, 1]. `apply_X` owns `x`: it may write
into it, and the caller uses what it returns. Each result is that of torchvision's function with the same parameters
(tests/unit/test_ops.py), but with parameters of its own for every image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.schema.ops import ColorJitterSettings, GaussianBlurSettings, GrayscaleSettings

Params = dict[str, Tensor]

AUTHORS_SIDE_PX = 224  # the official code's strengths in pixels are meant for this side
BLUR_RADIUS_SIGMAS = 4.0  # the truncated tails of a Gaussian beyond 4 sigma weigh 6e-5
MATRIX_MAX_SIDE_PX = 64  # up to this side a blur is two small matrix products per image, above it a convolution
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # torchvision's numbers in ColorJitter.get_params


def between(u: Tensor, low: float, high: float) -> Tensor:
    """Return uniforms u of [0, 1) stretched to [low, high)."""
    return low + (high - low) * u


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


def sample_color_jitter(draws: Draws, name: str, size_px: tuple[int, int], settings: ColorJitterSettings) -> Params:
    """Draw the jitter of B images.

    Returns applied [B] bool; brightness_factor, contrast_factor, saturation_factor [B] (1: unchanged); hue_turns [B] in
    [-0.5, 0.5] (0: unchanged); order [B, 4] int64, a permutation of 0 brightness, 1 contrast, 2 saturation, 3 hue.
    """
    u = draws.uniform(name, 9)
    applied = u[:, 0] < settings.prob
    params = {"applied": applied, "order": u[:, 5:9].argsort(dim=1)}
    for column, kind in enumerate(("brightness", "contrast", "saturation"), start=1):
        strength: float = getattr(settings, kind)
        factor = between(u[:, column], max(0.0, 1.0 - strength), 1.0 + strength)
        params[f"{kind}_factor"] = torch.where(applied, factor, 1.0)
    params["hue_turns"] = torch.where(applied, between(u[:, 4], -settings.hue, settings.hue), 0.0)
    return params


def apply_color_jitter(x: Tensor, params: Params, settings: ColorJitterSettings) -> Tensor:
    """Change brightness, contrast, saturation and hue of x [B, 3, H, W], in each image's own order."""
    return where_applied(x, params, _jitter)


def _jitter(x: Tensor, params: Params) -> Tensor:
    """Apply the four changes; each but hue is clamp(factor · x + (1 - factor) · base), base 0, mean luma or luma."""
    ones = torch.ones_like(params["hue_turns"])
    factors = [params["brightness_factor"], params["contrast_factor"], params["saturation_factor"], ones]
    order = params["order"]
    factor = torch.stack(factors, 1).gather(1, order)[:, :, None, None, None]  # [B, 4, 1, 1, 1], by place in the order
    kind = order[:, :, None, None, None]
    mean_weight = (1 - factor) * (kind == CONTRAST)
    luma_weight = (1 - factor) * (kind == SATURATION)
    shifted = params["hue_turns"] != 0
    for place in range(4):
        grey = luma(x)
        base = grey.mean((2, 3), keepdim=True).mul_(mean_weight[:, place])
        x = torch.addcmul(torch.addcmul(base, grey, luma_weight[:, place]), x, factor[:, place]).clamp_(0, 1)
        index = ((order[:, place] == HUE) & shifted).nonzero()[:, 0]
        if len(index):
            x.index_copy_(0, index, shift_hue(x.index_select(0, index), params["hue_turns"][index]))
    return x


def shift_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Return x [B, 3, H, W] with its HSV hue shifted by `turns` [B] of the hue circle; value and saturation stay.

    Without cases by sextant, which are slow on whole batches. Let u = 3 - h, with the hue h in [0, 6), chroma c, lowest
    channel m and highest M. Then |u| = 2 - (g + b - r - m) / c, u has the sign of g - b, and back again
    r = m + c·k(u), g = M - c·k(u - 1), b = M - c·k(u + 1), with k(u) = clamp(|u| - 1, 0, 1).
    """
    r, g, b = x.unbind(1)
    high = torch.maximum(torch.maximum(r, g), b)
    low = torch.minimum(torch.minimum(r, g), b)
    chroma = high - low
    # grey pixels have chroma 0 and any finite quotient will do: their hue is multiplied by 0 below
    u = (g + b).sub_(r).sub_(low).div_(chroma.clamp(min=1e-12)).neg_().add_(2)
    u = u.copysign_(g - b).sub_(turns[:, None, None], alpha=6)
    u.sub_((u * (1 / 6)).round_(), alpha=6)  # back into [-3, 3]
    out = torch.empty_like(x)
    torch.addcmul(low, chroma, u.abs().sub_(1).clamp_(0, 1), out=out[:, 0])
    torch.addcmul(high, chroma, (u - 1).abs_().sub_(1).clamp_(0, 1), value=-1, out=out[:, 1])
    torch.addcmul(high, chroma, (u + 1).abs_().sub_(1).clamp_(0, 1), value=-1, out=out[:, 2])
    return out


def sample_grayscale(draws: Draws, name: str, size_px: tuple[int, int], settings: GrayscaleSettings) -> Params:
    """Draw which of B images lose their colours: applied [B] bool."""
    return {"applied": draws.uniform(name, 1)[:, 0] < settings.prob}


def apply_grayscale(x: Tensor, params: Params, settings: GrayscaleSettings) -> Tensor:
    """Set the three channels of the drawn images to their luma."""
    return where_applied(x, params, lambda part, _: luma(part).repeat(1, 3, 1, 1))


def sample_gaussian_blur(draws: Draws, name: str, size_px: tuple[int, int], settings: GaussianBlurSettings) -> Params:
    """Draw the blur of B images: applied [B] bool, sigma_px [B] (0: unchanged)."""
    u = draws.uniform(name, 2)
    applied = u[:, 0] < settings.prob
    low, high = settings.sigma_px
    scale = min(size_px) / AUTHORS_SIDE_PX if settings.scale_with_side else 1.0
    return {"applied": applied, "sigma_px": torch.where(applied, between(u[:, 1], low * scale, high * scale), 0.0)}


def apply_gaussian_blur(x: Tensor, params: Params, settings: GaussianBlurSettings) -> Tensor:
    """Blur the drawn images of x [B, 3, H, W]. The kernel has one size for all, so no image depends on the others."""
    radius = blur_radius_px(settings, min(x.shape[-2:]))
    return where_applied(x, params, lambda part, own: blur(part, own["sigma_px"], radius))


def blur_radius_px(settings: GaussianBlurSettings, side_px: int) -> int:
    """Return the kernel's half width, which covers 4 of the largest sigma: the kernel has 2 · radius + 1 taps."""
    scale = side_px / AUTHORS_SIDE_PX if settings.scale_with_side else 1.0
    return math.ceil(BLUR_RADIUS_SIGMAS * settings.sigma_px[1] * scale)


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


def separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return rows · x · columnsᵀ [B, C, R, S] of x [B, C, H, W], rows [B or 1, R, H] and columns [B or 1, S, W]."""
    batch, channels, height, _ = x.shape
    x = torch.matmul(x.flatten(1, 2), columns.mT).view(batch, channels, height, columns.shape[1])
    return torch.matmul(rows[:, None], x)


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
