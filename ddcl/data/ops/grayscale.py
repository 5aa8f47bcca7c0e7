"""The image without its colours."""

from __future__ import annotations

from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params
from ddcl.data.ops.pixels import luma, where_applied
from ddcl.schema.ops import GrayscaleSettings


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: GrayscaleSettings) -> Params:
    """Draw which of B images lose their colours: applied [B] bool."""
    return {"applied": draws.uniform(name, 1)[:, 0] < settings.prob}


def apply(x: Tensor, params: Params, settings: GrayscaleSettings) -> Tensor:
    """Set the three channels of the drawn images to their luma."""
    return where_applied(x, params, lambda part, _: luma(part).repeat(1, 3, 1, 1))
