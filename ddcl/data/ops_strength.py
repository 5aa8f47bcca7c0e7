"""Image operations of a given strength, for response curves and readouts: a turn, and multiples of the augmentations'.

Each is an operation of `ddcl.data.ops_colour` or `ddcl.data.ops_geometry` on every image, with one number that says how
much. Same conventions as there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops_colour import Params, apply_color_jitter, sample_color_jitter
from ddcl.data.ops_geometry import apply_rotation, elastic_field, identity_grid
from ddcl.schema.ops import (
    ColorJitterSettings,
    ElasticSettings,
    ElasticStrengthSettings,
    JitterStrengthSettings,
    RotationSettings,
    TurnSettings,
)

JITTER, ELASTIC = ColorJitterSettings(prob=1.0), ElasticSettings(prob=1.0)  # the official code's strengths
HUE_MAX = 0.5  # turns: half of the circle, beyond which nothing is further away


def sample_turn(draws: Draws, name: str, size_px: tuple[int, int], settings: TurnSettings) -> Params:
    """Return the parameters of `ddcl.data.ops_geometry.apply_rotation` for one angle; nothing is drawn."""
    n, device = len(draws.images), draws.images.device
    applied = torch.ones(n, dtype=torch.bool, device=device)
    return {"applied": applied, "angle_deg": torch.full((n,), float(settings.angle_deg), device=device)}


def apply_turn(x: Tensor, params: Params, settings: TurnSettings) -> Tensor:
    """Rotate x [B, 3, H, W] about the centre, counter-clockwise; pixels from outside are 0."""
    return apply_rotation(x, params, RotationSettings(interpolation=settings.interpolation))


def _jitter(settings: JitterStrengthSettings) -> ColorJitterSettings:
    """Return the official colour jitter with all four strengths multiplied."""
    factor = settings.strength
    return ColorJitterSettings(
        brightness=factor * JITTER.brightness,
        contrast=factor * JITTER.contrast,
        saturation=factor * JITTER.saturation,
        hue=min(HUE_MAX, factor * JITTER.hue),
        prob=1.0,
    )


def sample_jitter_strength(
    draws: Draws, name: str, size_px: tuple[int, int], settings: JitterStrengthSettings
) -> Params:
    """Draw the jitter of B images, as `ddcl.data.ops_colour.sample_color_jitter`."""
    return sample_color_jitter(draws, name, size_px, _jitter(settings))


def apply_jitter_strength(x: Tensor, params: Params, settings: JitterStrengthSettings) -> Tensor:
    """Change brightness, contrast, saturation and hue of x [B, 3, H, W]."""
    return apply_color_jitter(x, params, _jitter(settings))


def sample_elastic_strength(
    draws: Draws, name: str, size_px: tuple[int, int], settings: ElasticStrengthSettings
) -> Params:
    """Draw the deformations of B images.

    Returns strength [B], the factor of the field: the settings', or uniform in [0, the settings'); and noise_key [B]
    int64, of which `elastic_field` is made.
    """
    strength = torch.full((len(draws.images),), float(settings.strength), device=draws.images.device)
    if settings.uniform:
        strength = strength * draws.uniform(name, 1)[:, 0]
    return {"strength": strength, "noise_key": draws.key(f"{name}:noise")}


def apply_elastic_strength(x: Tensor, params: Params, settings: ElasticStrengthSettings) -> Tensor:
    """Deform x [B, 3, H, W], bilinear; pixels from outside are 0."""
    height, width = x.shape[-2:]
    field = elastic_field(params["noise_key"], (height, width), ELASTIC) * params["strength"][:, None, None, None]
    grid = field + identity_grid(height, width, x.device)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
