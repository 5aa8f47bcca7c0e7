"""A random rectangle of the image, resized to the side of the views."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params, between
from ddcl.data.ops.pixels import separable
from ddcl.schema.ops import ResizedCropSettings

CROP_TRIES = 10  # torchvision's RandomResizedCrop, before it falls back to a central crop


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: ResizedCropSettings) -> Params:
    """Draw the crops of B images of size_px (height, width), as torchvision's RandomResizedCrop does.

    Returns top_px, left_px, height_px, width_px, each [B] int64: the crop, which lies inside the image; and the size of
    the image that it is cut from, image_height_px and image_width_px.
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
    box = {"top_px": top.long(), "left_px": left.long(), "height_px": h.long(), "width_px": w.long()}
    of = {"image_height_px": height, "image_width_px": width}
    return box | {name: torch.full_like(box["top_px"], side) for name, side in of.items()}


def _largest_allowed(height: int, width: int, ratio: list[float]) -> tuple[int, int]:
    """Return (height, width) of the largest crop whose width / height lies within `ratio`: the fallback."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def apply(x: Tensor, params: Params, settings: ResizedCropSettings, output_side_px: int) -> Tensor:
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
