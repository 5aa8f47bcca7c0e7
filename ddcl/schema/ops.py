"""The image operations by name, and what a recipe in YAML may say about each, with units, ranges and defaults.

Defaults are those of the official DDCL code (main_simsiam.py, policy `aug1_4_2`), which augments 224-px images.
Imports no torch: the configuration is read and checked without it. What an operation does is in the module of
`ddcl.data.ops` that its entry names, imported where a recipe has it. A new operation has its file there, and its
settings and entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from ddcl.base.yaml_files import Model, parse, rising
from ddcl.schema.plugins import Registry

Positive = Annotated[float, Field(gt=0, le=1000)]  # a larger one was typed wrong, and a blur so wide takes all memory
NotNegative = Annotated[float, Field(ge=0, le=1000)]
Share = Annotated[float, Field(gt=0, le=1)]
Prob = Annotated[float, Field(ge=0, le=1)]
PositiveRange = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(rising)]
ShareRange = Annotated[list[Share], Field(min_length=2, max_length=2), AfterValidator(rising)]


class ResizedCropSettings(Model):
    """A random rectangle of the image, resized to the side of the views (bilinear, antialiased)."""

    scale: ShareRange = Field(default=[0.2, 1.0], description="[low, high] of the crop's area, share of the image's")
    ratio: PositiveRange = Field(
        default=[0.75, 1.3333333333333333], description="[low, high] of the crop's width / height, uniform in the log"
    )


class ColorJitterSettings(Model):
    """Brightness, contrast, saturation and hue, changed in a random order."""

    brightness: NotNegative = Field(default=0.4, description="factor uniform in [max(0, 1 - this), 1 + this]")
    contrast: NotNegative = Field(default=0.4, description="factor uniform in [max(0, 1 - this), 1 + this]")
    saturation: NotNegative = Field(default=0.4, description="factor uniform in [max(0, 1 - this), 1 + this]")
    hue: float = Field(
        default=0.1, ge=0, le=0.5, description="shift uniform in [-this, this], in turns of the hue circle"
    )
    prob: Prob = Field(default=0.8, description="probability in [0, 1] that an image is changed")


class GrayscaleSettings(Model):
    """The image without its colours."""

    prob: Prob = Field(default=0.2, description="probability in [0, 1] that an image is changed")


class GaussianBlurSettings(Model):
    """Gaussian blur."""

    sigma_px: PositiveRange = Field(default=[0.1, 2.0], description="[low, high] of the standard deviation, pixels")
    prob: Prob = Field(default=0.5, description="probability in [0, 1] that an image is changed")
    scale_with_side: bool = Field(
        default=False, description="sigma_px is meant for 224-px images: multiply it by side / 224"
    )


class HorizontalFlipSettings(Model):
    """Left and right exchanged."""

    prob: Prob = Field(default=0.5, description="probability in [0, 1] that an image is changed")


class RotationSettings(Model):
    """Rotation about the centre; what it uncovers is black."""

    degrees_max: float = Field(default=90.0, ge=0, le=180, description="angle uniform in [-this, this], degrees")
    prob: Prob = Field(default=1.0, description="probability in [0, 1] that an image is changed")
    interpolation: Literal["nearest", "bilinear"] = Field(
        default="nearest", description="interpolation between pixels; the official code uses nearest"
    )


class TimesAtSide(Model):
    """A factor of a strength for images whose side is at most so many pixels."""

    side_px: Annotated[int, Field(ge=1, description="the largest side that it applies to, pixels")]
    times: Positive = Field(description="factor of the strength")


class ElasticSettings(Model):
    """Elastic deformation: each pixel moves by smoothed noise; what comes from outside is black."""

    alpha_px: NotNegative = Field(
        default=100.0, description="factor of the smoothed noise of [-1, 1], pixels (rms 1.6 px for 100 at sigma_px 5)"
    )
    sigma_px: Positive = Field(default=5.0, description="standard deviation of the smoothing, pixels")
    prob: Prob = Field(default=0.5, description="probability in [0, 1] that an image is changed")
    scale_with_side: bool = Field(
        default=True,
        description="alpha_px and sigma_px are meant for 224-px images: multiply them by (side / 224)² and side / 224, "
        "which keeps the displacement relative to the side",
    )
    matched: list[TimesAtSide] = Field(
        default=[],
        json_schema_extra={"absent": []},
        description="factors of alpha_px for small sides, at which the same displacement relative to the side does no "
        "harm; the smallest side_px that fits is used; beyond all of them, and in literal pixels, the factor is 1",
    )


class CorruptionSettings(Model):
    """One of the 15 common corruptions of Hendrycks and Dietterich 2019 (arXiv 1903.12261); for test images."""

    kind: Literal[
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "snow",
        "frost",
        "fog",
        "brightness",
        "contrast",
        "elastic_transform",
        "pixelate",
        "jpeg_compression",
    ] = Field(description="which corruption")
    severity: int = Field(ge=1, le=5, description="from 1, hardly visible, to 5")


class TurnSettings(Model):
    """Rotation of every image by one angle; what it uncovers is black."""

    angle_deg: float = Field(ge=-180, le=180, description="angle, counter-clockwise, degrees")
    interpolation: Literal["nearest", "bilinear"] = Field(
        default="nearest", description="interpolation between pixels, as in `rotation`"
    )


class JitterStrengthSettings(Model):
    """Colour jitter of every image, a multiple of the official one's four strengths."""

    strength: NotNegative = Field(description="1: brightness, contrast, saturation 0.4, hue 0.1 (at most 0.5)")


class ElasticStrengthSettings(Model):
    """Elastic deformation of every image, a multiple of the official one's, scaled to the side."""

    strength: NotNegative = Field(description="1: alpha 100, sigma 5 at 224 px, rms displacement 0.75 % of the side")
    uniform: bool = Field(default=False, description="each image has its own strength, uniform in [0, strength]")


@dataclass(frozen=True)
class OpEntry:
    """An image operation: the module of its `sample` and `apply`, and the model of its settings.

    target: the module; of a plugin, ``module:apply``.
    resizes: whether `apply` makes square images of a side that it is told, and takes uint8 images too.
    """

    target: str
    settings: type[BaseModel]
    resizes: bool = False

    @property
    def module(self) -> str:
        """The module's name."""
        return self.target.partition(":")[0]


OPS = Registry("operation", OpEntry)
OPS |= {
    "resized_crop": OpEntry("ddcl.data.ops.resized_crop", ResizedCropSettings, resizes=True),
    "color_jitter": OpEntry("ddcl.data.ops.color_jitter", ColorJitterSettings),
    "grayscale": OpEntry("ddcl.data.ops.grayscale", GrayscaleSettings),
    "gaussian_blur": OpEntry("ddcl.data.ops.gaussian_blur", GaussianBlurSettings),
    "horizontal_flip": OpEntry("ddcl.data.ops.horizontal_flip", HorizontalFlipSettings),
    "rotation": OpEntry("ddcl.data.ops.rotation", RotationSettings),
    "elastic": OpEntry("ddcl.data.ops.elastic", ElasticSettings),
    "corruption": OpEntry("ddcl.data.ops.corruption", CorruptionSettings),
    "turn": OpEntry("ddcl.data.ops.turn", TurnSettings),
    "jitter_strength": OpEntry("ddcl.data.ops.jitter_strength", JitterStrengthSettings),
    "elastic_strength": OpEntry("ddcl.data.ops.elastic_strength", ElasticStrengthSettings),
}


def build_settings(op_name: str, values: Mapping[str, object], where: str) -> BaseModel:
    """Return the settings of the operation `op_name` with `values` on top of the defaults.

    where: the file that the values come from, for the message.
    Raises `UserError`, on one line, for an unknown operation, an unknown key or a value that is not allowed.
    """
    OPS.check(op_name, where)
    return parse(OPS[op_name].settings, values, f"{where}: {op_name}")
