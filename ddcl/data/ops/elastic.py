"""Elastic deformation: each pixel moves by smoothed noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcl.core.seeds import Draws, uniform
from ddcl.data.ops.parameters import Params, elastic_strength
from ddcl.data.ops.pixels import blur, where_applied
from ddcl.schema.ops import ElasticSettings

NOISE_CHUNK_DRAWS = 2**16  # noise made at once: keeps its 64-bit hashes in the cache


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: ElasticSettings) -> Params:
    """Draw the deformations of B images.

    Returns applied [B] bool; alpha_px [B], the strength of the deformation (0: unchanged); and noise_key [B] int64, of
    which `elastic_field` is made.
    """
    applied, alpha_px = draws.uniform(name, 1)[:, 0] < settings.prob, elastic_strength(settings, min(size_px))[0]
    return {"applied": applied, "alpha_px": applied * alpha_px, "noise_key": draws.key(f"{name}:noise")}


def elastic_field(noise_key: Tensor, size_px: tuple[int, int], settings: ElasticSettings) -> Tensor:
    """Return the fields [B, H, W, 2] of B deformations of size_px (height, width).

    How far from it each output pixel reads, (x, y) in grid_sample's coordinates, in which the side is 2. The field is
    that of torchvision's ElasticTransform: noise of [-1, 1], blurred with a kernel of int(8 sigma + 1) taps, times
    alpha / side.
    """
    height, width = size_px
    alpha_px, sigma_px, radius_px = elastic_strength(settings, min(size_px))
    field = torch.empty(len(noise_key), height, width, 2, device=noise_key.device)
    sigma = torch.full((1,), sigma_px, device=noise_key.device)
    strength = torch.tensor([alpha_px / width, alpha_px / height], device=noise_key.device)
    chunk = max(1, NOISE_CHUNK_DRAWS // (2 * height * width))
    for start, keys in zip(range(0, len(field), chunk), torch.split(noise_key, chunk), strict=True):
        noise = uniform(keys, 2 * height * width).view(-1, 2, height, width)
        smooth = blur(noise.mul_(2).sub_(1), sigma, radius_px)
        field[start : start + chunk] = smooth.permute(0, 2, 3, 1) * strength
    return field


def apply(x: Tensor, params: Params, settings: ElasticSettings) -> Tensor:
    """Deform the drawn images of x [B, 3, H, W], bilinear; pixels from outside are 0.

    As torchvision's `elastic` with its default fill. Its ElasticTransform passes fill=0 instead, which weights a pixel
    that is partly outside by its inner share twice; here it is weighted once.
    """

    def deform(part: Tensor, own: Params) -> Tensor:
        height, width = part.shape[-2:]
        grid = elastic_field(own["noise_key"], (height, width), settings) + identity_grid(height, width, part.device)
        return F.grid_sample(part, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    return where_applied(x, params, deform)


def identity_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Return [H, W, 2]: the pixels' own centres, (x, y) in grid_sample's coordinates."""
    x, y = ((torch.arange(n, device=device) * 2 + 1) / n - 1 for n in (width, height))
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1)
