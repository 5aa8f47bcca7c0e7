"""Methods with one projector on the whole features, and no predictor."""

from __future__ import annotations

from torch import Tensor, nn

from ddcl.core.losses import full_precision
from ddcl.core.method import Method


class Projected(Method):
    """Base of methods whose loss compares projections; subclasses build `projector`."""

    projector: nn.Module

    def embed(self, h: Tensor) -> Tensor:
        """Return the projection [B, d] of one view's features h [B, D]."""
        return full_precision(self.projector(h))

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        z = self.embed(h)
        return {"full": (z, z)}
