"""Image operations that move pixels: resized crop, horizontal flip, rotation, elastic deformation.

Same conventions as `ddcl.data.ops_colour`: `sample_X` returns parameters [B, …] that depend on the draws only,
`apply_X` owns the images it is given, and results are those of torchvision's functions with the same parameters.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcl.core.seeds import Draws, uniform
from ddcl.data.ops_colour import AUTHORS_SIDE_PX, Params, between, blur, separable, where_applied
from ddcl.schema.ops import (
    ElasticSettings,
    HorizontalFlipSettings,
    ResizedCropSettings,
    RotationSettings,
)

CROP_TRIES = 10  # torchvision's RandomResizedCrop, before it falls back to a central crop
NOISE_CHUNK_DRAWS = 2**16  # noise made at once: keeps its 64-bit hashes in the cache


def sample_resized_crop(draws: Draws, name: str, size_px: tuple[int, int], settings: ResizedCropSettings) -> Params:
    """Draw the crops of B images of size_px (height, width), as torchvision's RandomResizedCrop does.

    Returns top_px, left_px, height_px, width_px, each [B] int64; the crop lies inside the image.
    """
    height, width = size_px
    u = draws.uniform(name, 2 * CROP_TRIES + 2)
    area = between(u[:, :CROP_TRIES], settings.scale[0], settings.scale[1]) * (height * width)
    # on a CPU torch's exp and sqrt wake MKL's threads, which then spin where compiled operations want to run
    low, high = math.log2(settings.ratio[0]), math.log2(settings.ratio[1])
    ratio = between(u[:, CROP_TRIES : 2 * CROP_TRIES], low, high).exp2_()
    w, h = ((square * square.rsqrt()).round_() for square in (area * ratio, area / ratio))  # [B, tries]
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)  # the first try that fits
    w, h, found = (tries.gather(1, first)[:, 0] for tries in (w, h, fits))
    central_h, central_w = _largest_allowed(height, width, settings.ratio)
    w, h = torch.where(found, w, float(central_w)), torch.where(found, h, float(central_h))
    top = torch.where(found, (u[:, -2] * (height - h + 1)).floor_(), float((height - central_h) // 2))
    left = torch.where(found, (u[:, -1] * (width - w + 1)).floor_(), float((width - central_w) // 2))
    return {"top_px": top.long(), "left_px": left.long(), "height_px": h.long(), "width_px": w.long()}


def _largest_allowed(height: int, width: int, ratio: list[float]) -> tuple[int, int]:
    """Return (height, width) of the largest crop whose width / height lies within `ratio`: the fallback."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def apply_resized_crop(x: Tensor, params: Params, settings: ResizedCropSettings, output_side_px: int) -> Tensor:
    """Cut the crops out of x and resize them to a square: float32 [B, 3, S, S] in [0, 1].

    x: [B, 3, H, W], uint8 or float32 in [0, 1]. Bilinear; antialiased where the crop is reduced.
    """
    rows = resize_matrix(x.shape[2], params["top_px"], params["height_px"], output_side_px)  # [B, S, H]
    columns = resize_matrix(x.shape[3], params["left_px"], params["width_px"], output_side_px)  # [B, S, W]
    if x.dtype == torch.uint8:
        x, rows = x.to(torch.float32), rows.mul_(1 / 255)
    return separable(x, rows, columns)


def resize_matrix(side_px: int, start_px: Tensor, length_px: Tensor, output_side_px: int) -> Tensor:
    """Return [B, output side, side]: row i holds the weights of the pixels that make up output pixel i.

    The crop is [start, start + length) of an axis of side_px pixels. The weights are a triangle of half width
    max(1, length / output side) about the output pixel's centre, cut at the crop's edges: torch's antialiased bilinear.
    """
    scale = (length_px / output_side_px)[:, None, None]
    start = start_px[:, None, None]
    out = torch.arange(output_side_px, device=start.device, dtype=torch.float32)[:, None]
    pixel = torch.arange(side_px, device=start.device, dtype=torch.float32)
    centre = (out + 0.5) * scale + (start - 0.5)  # [B, S, 1], in pixels of the image
    inside = (pixel >= start) & (pixel < start + length_px[:, None, None])  # [B, 1, side]
    slope = scale.clamp(min=1.0).reciprocal()
    weights = (pixel - centre).abs_().mul_(slope).neg_().add_(1).clamp_(min=0).mul_(inside)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def sample_horizontal_flip(
    draws: Draws, name: str, size_px: tuple[int, int], settings: HorizontalFlipSettings
) -> Params:
    """Draw which of B images are mirrored: applied [B] bool."""
    return {"applied": draws.uniform(name, 1)[:, 0] < settings.prob}


def apply_horizontal_flip(x: Tensor, params: Params, settings: HorizontalFlipSettings) -> Tensor:
    """Mirror the drawn images of x [B, 3, H, W]."""
    return where_applied(x, params, lambda part, _: part.flip(-1))


def sample_rotation(draws: Draws, name: str, size_px: tuple[int, int], settings: RotationSettings) -> Params:
    """Draw the rotations of B images: applied [B] bool, angle_deg [B], counter-clockwise (0: unchanged)."""
    u = draws.uniform(name, 2)
    applied = u[:, 0] < settings.prob
    angle = between(u[:, 1], -settings.degrees_max, settings.degrees_max)
    return {"applied": applied, "angle_deg": torch.where(applied, angle, 0.0)}


def apply_rotation(x: Tensor, params: Params, settings: RotationSettings) -> Tensor:
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


def sample_elastic(draws: Draws, name: str, size_px: tuple[int, int], settings: ElasticSettings) -> Params:
    """Draw the deformations of B images: applied [B] bool, noise_key [B] int64, of which `elastic_field` is made."""
    return {"applied": draws.uniform(name, 1)[:, 0] < settings.prob, "noise_key": draws.key(f"{name}:noise")}


def elastic_strength(settings: ElasticSettings, side_px: int) -> tuple[float, float, int]:
    """Return alpha and sigma in pixels, and the half width of the kernel, for images whose shorter side is side_px."""
    scale = side_px / AUTHORS_SIDE_PX if settings.scale_with_side else 1.0
    alpha_px, sigma_px = settings.alpha_px * scale**2, settings.sigma_px * scale
    return alpha_px, sigma_px, (int(8 * sigma_px + 1) | 1) // 2  # torchvision makes an even number of taps odd: + 1


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


def apply_elastic(x: Tensor, params: Params, settings: ElasticSettings) -> Tensor:
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
