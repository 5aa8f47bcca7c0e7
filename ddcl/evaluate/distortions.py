"""The distortions used by the readouts: each applied alone, with its own known parameters for every image.

Operations and draws are those of the augmentations (`ddcl.data.ops`), with probability 1 (1/2 for a flip). The
parameters of an image's distortion can be recomputed from its draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ddcl.data.ops.parameters import Params
from ddcl.evaluate.sgd import CROP_RATIO
from ddcl.schema.evaluations import DiagnosticsSettings
from ddcl.schema.op_recipes import OpRecipe

Target: TypeAlias = Callable[[Params, int], Tensor]  # parameters, side in pixels -> [B, k]


@dataclass(frozen=True)
class Distortion:
    """One operation, and the readout target of each metric, computed from its parameters."""

    op: OpRecipe
    targets: dict[str, Target]


def distortions(settings: DiagnosticsSettings) -> dict[str, Distortion]:
    """Return all distortions, by name; metrics are those of `ddcl.schema.metrics.READOUTS`."""
    blur = _blur(settings)
    crop: dict[str, Target] = {"readout_crop_x": _crop_x, "readout_crop_y": _crop_y, "readout_crop_size": _crop_size}
    elastic = _op("elastic_strength", strength=settings.elastic_strength, uniform=True)
    return {
        "rotation": Distortion(_rotation(settings), {"readout_angle": _angle}),
        "brightness": _jittered("brightness", settings.brightness),
        "contrast": _jittered("contrast", settings.contrast),
        "saturation": _jittered("saturation", settings.saturation),
        "hue": _jittered("hue", settings.hue_turns),
        "blur": Distortion(blur, {"readout_blur": _parameter("sigma_px")}),
        "crop": Distortion(_crop(settings), crop),
        "elastic": Distortion(elastic, {"readout_elastic": _parameter("strength")}),
        "flip": Distortion(_op("horizontal_flip", prob=0.5), {"readout_flip": _parameter("applied")}),
    }


def all_in_a_row(settings: DiagnosticsSettings) -> list[OpRecipe]:
    """Return the operations of CAug, for views of an untrained encoder, which has no augmentation of its own."""
    jitter = {name: getattr(settings, name) for name in ("brightness", "contrast", "saturation")}
    return [
        _crop(settings),
        _op("color_jitter", **jitter, hue=settings.hue_turns, prob=1.0),
        _blur(settings),
        _op("horizontal_flip", prob=0.5),
        _rotation(settings),
    ]


def _op(name: str, **settings: Any) -> OpRecipe:
    """Return an operation with all its settings: defaults are not part of the code digest."""
    return OpRecipe(op=name, settings=settings)


def _rotation(settings: DiagnosticsSettings) -> OpRecipe:
    return _op("rotation", degrees_max=settings.rotation_deg, prob=1.0, interpolation="nearest")


def _blur(settings: DiagnosticsSettings) -> OpRecipe:
    return _op("gaussian_blur", sigma_px=settings.blur_sigma_px, prob=1.0, scale_with_side=False)


def _crop(settings: DiagnosticsSettings) -> OpRecipe:
    return _op("resized_crop", scale=settings.crop_scale, ratio=CROP_RATIO)


def _jittered(kind: str, strength: float) -> Distortion:
    """Return colour jitter in which only one of the four changes."""
    only = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | {kind: strength}
    key = "hue_turns" if kind == "hue" else f"{kind}_factor"
    return Distortion(_op("color_jitter", **only, prob=1.0), {f"readout_{kind}": _parameter(key)})


def _parameter(key: str) -> Target:
    return lambda params, side_px: params[key].double()[:, None]


def _angle(params: Params, side_px: int) -> Tensor:
    """Return sine and cosine [B, 2], which are continuous in the angle."""
    angle = params["angle_deg"].double() * (math.pi / 180)
    return torch.stack((angle.sin(), angle.cos()), dim=1)


def _crop_x(params: Params, side_px: int) -> Tensor:
    """Return how far the crop's centre lies to the right of the image's, in sides."""
    return ((params["left_px"] + params["width_px"] / 2) / side_px - 0.5).double()[:, None]


def _crop_y(params: Params, side_px: int) -> Tensor:
    """Return how far the crop's centre lies below the image's, in sides."""
    return ((params["top_px"] + params["height_px"] / 2) / side_px - 0.5).double()[:, None]


def _crop_size(params: Params, side_px: int) -> Tensor:
    """Return the root of the crop's area, in sides."""
    return ((params["width_px"] * params["height_px"]).double().sqrt() / side_px)[:, None]
