"""The table of image operations: what a recipe's names mean.

To add an operation: a settings model in `ddcl.schema.ops`, a `sample` and an `apply` in `ddcl.data.ops_colour`,
`ddcl.data.ops_geometry`, `ddcl.data.ops_corruption` or `ddcl.data.ops_strength`, a row here, and a parity test in
tests/unit/test_ops.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel
from torch import Tensor

from ddcl.data import ops_colour, ops_corruption, ops_geometry, ops_strength
from ddcl.data.ops_colour import Params
from ddcl.schema.ops import OP_SETTINGS

__all__ = ["OPS", "Op", "Params"]


@dataclass(frozen=True)
class Op:
    """One image operation.

    settings: model of its settings.
    sample: (draws, name, (height_px, width_px), settings) -> parameters, a dictionary of tensors [B, …].
    apply: (x, parameters, settings) -> x, float32 [B, 3, H, W] in [0, 1]; it may write into the x it is given.
    resizes: `apply` takes a fourth argument, the side in pixels of the square images that it returns, and uint8 x too.
    """

    settings: type[BaseModel]
    sample: Callable[..., Params]
    apply: Callable[..., Tensor]
    resizes: bool = False


OPS: dict[str, Op] = {
    "resized_crop": Op(
        OP_SETTINGS["resized_crop"],
        ops_geometry.sample_resized_crop,
        ops_geometry.apply_resized_crop,
        resizes=True,
    ),
    "color_jitter": Op(OP_SETTINGS["color_jitter"], ops_colour.sample_color_jitter, ops_colour.apply_color_jitter),
    "grayscale": Op(OP_SETTINGS["grayscale"], ops_colour.sample_grayscale, ops_colour.apply_grayscale),
    "gaussian_blur": Op(OP_SETTINGS["gaussian_blur"], ops_colour.sample_gaussian_blur, ops_colour.apply_gaussian_blur),
    "horizontal_flip": Op(
        OP_SETTINGS["horizontal_flip"], ops_geometry.sample_horizontal_flip, ops_geometry.apply_horizontal_flip
    ),
    "rotation": Op(OP_SETTINGS["rotation"], ops_geometry.sample_rotation, ops_geometry.apply_rotation),
    "elastic": Op(OP_SETTINGS["elastic"], ops_geometry.sample_elastic, ops_geometry.apply_elastic),
    "corruption": Op(OP_SETTINGS["corruption"], ops_corruption.sample_corruption, ops_corruption.apply_corruption),
    "turn": Op(OP_SETTINGS["turn"], ops_strength.sample_turn, ops_strength.apply_turn),
    "jitter_strength": Op(
        OP_SETTINGS["jitter_strength"], ops_strength.sample_jitter_strength, ops_strength.apply_jitter_strength
    ),
    "elastic_strength": Op(
        OP_SETTINGS["elastic_strength"], ops_strength.sample_elastic_strength, ops_strength.apply_elastic_strength
    ),
}
