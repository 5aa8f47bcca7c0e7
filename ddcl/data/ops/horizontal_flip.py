"""Left and right exchanged."""

from __future__ import annotations

from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params
from ddcl.data.ops.pixels import where_applied
from ddcl.schema.ops import HorizontalFlipSettings


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: HorizontalFlipSettings) -> Params:
    """Draw which of B images are mirrored: applied [B] bool."""
    return {"applied": draws.uniform(name, 1)[:, 0] < settings.prob}


def apply(x: Tensor, params: Params, settings: HorizontalFlipSettings) -> Tensor:
    """Mirror the drawn images of x [B, 3, H, W]."""
    return where_applied(x, params, lambda part, _: part.flip(-1))
