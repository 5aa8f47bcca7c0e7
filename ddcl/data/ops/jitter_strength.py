"""Colour jitter of every image, a multiple of the official one's, for response curves."""

from __future__ import annotations

from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops import color_jitter
from ddcl.data.ops.parameters import Params
from ddcl.schema.ops import ColorJitterSettings, JitterStrengthSettings

# the official code's strengths, said here and not left to the defaults: those of settings are in no digest of code
JITTER = ColorJitterSettings(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=1.0)
HUE_MAX = 0.5  # turns: half of the circle, beyond which nothing is further away


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: JitterStrengthSettings) -> Params:
    """Draw the jitter of B images, as `ddcl.data.ops.color_jitter.sample`."""
    return color_jitter.sample(draws, name, size_px, _jitter(settings))


def apply(x: Tensor, params: Params, settings: JitterStrengthSettings) -> Tensor:
    """Change brightness, contrast, saturation and hue of x [B, 3, H, W]."""
    return color_jitter.apply(x, params, _jitter(settings))


def _jitter(settings: JitterStrengthSettings) -> ColorJitterSettings:
    """Return the official colour jitter with all four strengths multiplied."""
    factor = settings.strength
    return ColorJitterSettings(
        brightness=factor * JITTER.brightness,
        contrast=factor * JITTER.contrast,
        saturation=factor * JITTER.saturation,
        hue=min(HUE_MAX, factor * JITTER.hue),
        prob=1.0,
    )
