"""Barlow Twins (Zbontar et al., ICML 2021, arXiv 2103.03230), as in the official code."""

from __future__ import annotations

from torch import Tensor, nn

from ddcl.core.heads import barlow_projector
from ddcl.core.losses import barlow_twins_loss
from ddcl.core.method import Batch, Step
from ddcl.core.projected import Projected
from ddcl.schema.methods import BarlowTwinsSettings


class BarlowTwins(Projected):
    """Bring the cross-correlation of the two views' projections near the identity."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: BarlowTwinsSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.offdiag_weight = settings.offdiag_weight
        self.projector = barlow_projector(feature_dim, settings.projector_dim)

    def step(self, batch: Batch) -> Step:
        return self.compare(self.encoder(batch.x1), self.encoder(batch.x2))

    def compare(self, h1: Tensor, h2: Tensor) -> Step:
        """Return the loss of two views' features [B, D]."""
        z1, z2 = self.embed(h1), self.embed(h2)  # [B, d]
        return Step(barlow_twins_loss(z1, z2, self.offdiag_weight), embeddings={"full": z1})
