"""Rotation of every image by one angle, for response curves."""

from __future__ import annotations

import torch
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops import rotation
from ddcl.data.ops.parameters import Params
from ddcl.schema.ops import RotationSettings, TurnSettings


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: TurnSettings) -> Params:
    """Return the parameters of `ddcl.data.ops.rotation.apply` for one angle; nothing is drawn."""
    n, device = len(draws.images), draws.images.device
    applied = torch.ones(n, dtype=torch.bool, device=device)
    return {"applied": applied, "angle_deg": torch.full((n,), float(settings.angle_deg), device=device)}


def apply(x: Tensor, params: Params, settings: TurnSettings) -> Tensor:
    """Rotate x [B, 3, H, W] about the centre, counter-clockwise; pixels from outside are 0."""
    return rotation.apply(x, params, RotationSettings(interpolation=settings.interpolation))
