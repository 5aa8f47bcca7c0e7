"""Barlow Twins (Zbontar et al., ICML 2021, arXiv 2103.03230), as in the official code."""

from __future__ import annotations

from torch import Tensor, nn

from ddcl.core.heads import barlow_projector
from ddcl.core.losses import barlow_twins_loss, full_precision
from ddcl.core.method import Batch, Method, Step
from ddcl.schema.methods import BarlowTwinsSettings


class BarlowTwins(Method):
    """Bring the cross-correlation of the two views' projections near the identity."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: BarlowTwinsSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.offdiag_weight = settings.offdiag_weight
        self.projector = barlow_projector(feature_dim, settings.projector_dim)

    def embed(self, h: Tensor) -> Tensor:
        """Return the projection [B, d] of one view's features h [B, D]."""
        return full_precision(self.projector(h))

    def step(self, batch: Batch) -> Step:
        return self.compare(self.encoder(batch.x1), self.encoder(batch.x2))

    def compare(self, h1: Tensor, h2: Tensor) -> Step:
        """Return the loss of two views' features [B, D]."""
        z1, z2 = self.embed(h1), self.embed(h2)  # [B, d]
        return Step(barlow_twins_loss(z1, z2, self.offdiag_weight), embeddings={"full": z1})

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        z = self.embed(h)
        return {"full": (z, z)}
