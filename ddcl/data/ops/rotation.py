"""Rotation about the centre by a random angle."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params, between
from ddcl.data.ops.pixels import where_applied
from ddcl.schema.ops import RotationSettings


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: RotationSettings) -> Params:
    """Draw the rotations of B images: applied [B] bool, angle_deg [B], counter-clockwise (0: unchanged)."""
    u = draws.uniform(name, 2)
    applied = u[:, 0] < settings.prob
    angle = between(u[:, 1], -settings.degrees_max, settings.degrees_max)
    return {"applied": applied, "angle_deg": torch.where(applied, angle, 0.0)}


def apply(x: Tensor, params: Params, settings: RotationSettings) -> Tensor:
    """Rotate the drawn images of x [B, 3, H, W] about their centre; pixels from outside are 0."""

    def rotate(part: Tensor, own: Params) -> Tensor:
        grid = _rotation_grid(own["angle_deg"], part.shape[-2], part.shape[-1])
        return F.grid_sample(part, grid, mode=settings.interpolation, padding_mode="zeros", align_corners=False)

    return where_applied(x, params, rotate)


def _rotation_grid(angle_deg: Tensor, height: int, width: int) -> Tensor:
    """Return [B, H, W, 2]: where each output pixel reads, (x, y) in grid_sample's coordinates of [-1, 1]."""
    angle = angle_deg.double().mul(math.pi / 180)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    x, y = (torch.arange(n, device=angle.device) - (n - 1) / 2 for n in (width, height))  # from the centre, in pixels
    grid = torch.empty(len(angle), height, width, 2, device=angle.device)
    for axis, (of_x, of_y, side) in enumerate(((cos, -sin, width), (sin, cos, height))):
        part = (of_y * y[:, None] * (2 / side)).float()  # [B, H, 1]; float64 up to here costs nothing
        torch.addcmul(part, (of_x * (2 / side)).float(), x, out=grid[..., axis])
    return grid
