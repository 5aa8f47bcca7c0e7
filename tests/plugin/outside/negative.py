"""An image operation: the negative."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ddcl.base.yaml_files import Model
from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params
from ddcl.schema.ops import OpEntry
from ddcl.schema.plugins import plugin


class NegativeSettings(Model):
    """Settings of the operation."""

    prob: float = Field(default=0.5, ge=0, le=1, description="probability that an image is changed")


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: NegativeSettings) -> Params:
    """Draw which of B images are changed: applied [B] bool."""
    return {"applied": draws.uniform(name, 1)[:, 0] < settings.prob}


@plugin(OpEntry, NegativeSettings)
def apply(x: Tensor, params: Params, settings: NegativeSettings) -> Tensor:
    """Change the drawn images of x [B, 3, H, W]."""
    return (x - params["applied"].to(x.dtype)[:, None, None, None]).abs()
