"""The augmentation parameters of a view, as numbers of similar magnitude that a network can take or predict.

An operation that left an image unchanged gives zeros, except a crop. Operations that are not listed here give nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ddcl.core.method import Drawn

Settings = Mapping[str, Any]
Params = Mapping[str, Tensor]


def _crop(params: Params, settings: Settings) -> list[Tensor]:
    """Return centre (x, y) and size (x, y) of the crop, in sides of the image that it was cut from."""
    height, width = params["image_height_px"], params["image_width_px"]
    return [
        (params["left_px"] + params["width_px"] / 2) / width,
        (params["top_px"] + params["height_px"] / 2) / height,
        params["width_px"] / width,
        params["height_px"] / height,
    ]


def _jitter(params: Params, settings: Settings) -> list[Tensor]:
    """Return how far each factor is from 1, and the hue from 0, as a share of the range that it is drawn from."""
    factors = [
        (params[f"{name}_factor"] - 1) / (2 * settings[name]) if settings[name] else params[f"{name}_factor"] - 1
        for name in ("brightness", "contrast", "saturation")
    ]
    return [*factors, params["hue_turns"] / (2 * settings["hue"] if settings["hue"] else 1)]


def _blur(params: Params, settings: Settings) -> list[Tensor]:
    """Return the standard deviation, as a share of the largest."""
    return [params["sigma_px"] / settings["sigma_px"][1]]


def _rotation(params: Params, settings: Settings) -> list[Tensor]:
    """Return the angle, as a share of the range that it is drawn from."""
    return [params["angle_deg"] / (2 * settings["degrees_max"])]


def _applied(params: Params, settings: Settings) -> list[Tensor]:
    return [params["applied"]]


NUMBERS: dict[str, tuple[int, Callable[[Params, Settings], list[Tensor]]]] = {
    "resized_crop": (4, _crop),
    "color_jitter": (4, _jitter),
    "grayscale": (1, _applied),
    "gaussian_blur": (1, _blur),
    "horizontal_flip": (1, _applied),
    "rotation": (1, _rotation),
    "elastic": (1, _applied),
}


def width(ops: Sequence[tuple[str, Settings]]) -> int:
    """Return how many numbers `told` returns for a view."""
    return sum(NUMBERS[op][0] for op, _ in ops if op in NUMBERS)


def numbers(drawn: Drawn, ops: Sequence[tuple[str, Settings]]) -> dict[str, Tensor]:
    """Return the parameters drawn for a view by operation, each [B, k] float32. ops: as in `ddcl.core.method.Task`."""
    return {
        name: torch.stack([value.float() for value in NUMBERS[op][1](params, settings)], dim=1)
        for (name, params), (op, settings) in zip(drawn.items(), ops, strict=True)
        if op in NUMBERS
    }


def told(drawn: Drawn, ops: Sequence[tuple[str, Settings]]) -> Tensor:
    """Return all parameters of a view, concatenated: [B, `width`]."""
    return torch.cat(list(numbers(drawn, ops).values()), dim=1)
