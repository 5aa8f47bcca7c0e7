"""Brightness, contrast, saturation and hue, changed in a random order."""

from __future__ import annotations

import torch
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params, between
from ddcl.data.ops.pixels import luma, where_applied
from ddcl.schema.ops import ColorJitterSettings

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # torchvision's numbers in ColorJitter.get_params


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: ColorJitterSettings) -> Params:
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


def apply(x: Tensor, params: Params, settings: ColorJitterSettings) -> Tensor:
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
