"""Elastic deformation of every image, a multiple of the official one's, for response curves and readouts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.elastic import elastic_field, identity_grid
from ddcl.data.ops.parameters import Params
from ddcl.schema.ops import ElasticSettings, ElasticStrengthSettings

# the official code's strengths, said here and not left to the defaults: those of settings are in no digest of code
ELASTIC = ElasticSettings(alpha_px=100.0, sigma_px=5.0, prob=1.0, scale_with_side=True)


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: ElasticStrengthSettings) -> Params:
    """Draw the deformations of B images.

    Returns strength [B], the factor of the field: the settings', or uniform in [0, the settings'); and noise_key [B]
    int64, of which `elastic_field` is made.
    """
    strength = torch.full((len(draws.images),), float(settings.strength), device=draws.images.device)
    if settings.uniform:
        strength = strength * draws.uniform(name, 1)[:, 0]
    return {"strength": strength, "noise_key": draws.key(f"{name}:noise")}


def apply(x: Tensor, params: Params, settings: ElasticStrengthSettings) -> Tensor:
    """Deform x [B, 3, H, W], bilinear; pixels from outside are 0."""
    height, width = x.shape[-2:]
    field = elastic_field(params["noise_key"], (height, width), ELASTIC) * params["strength"][:, None, None, None]
    grid = field + identity_grid(height, width, x.device)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
