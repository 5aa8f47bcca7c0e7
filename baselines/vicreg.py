"""VICReg (Bardes, Ponce, LeCun, ICLR 2022, arXiv 2105.04906), as in the official code."""

from __future__ import annotations

from torch import nn

from ddcl.core.heads import barlow_projector
from ddcl.core.losses import vicreg_loss
from ddcl.core.method import Batch, Step
from ddcl.core.projected import Projected
from ddcl.schema.methods import VICRegSettings


class VICReg(Projected):
    """Bring the two views' projections together, spread each column, and decorrelate the columns."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: VICRegSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.weights = settings.invariance_weight, settings.std_weight, settings.covariance_weight
        self.projector = barlow_projector(feature_dim, settings.projector_dim)

    def step(self, batch: Batch) -> Step:
        z1 = self.embed(self.encoder(batch.x1))  # [B, d]
        z2 = self.embed(self.encoder(batch.x2))
        return Step(vicreg_loss(z1, z2, *self.weights), embeddings={"full": z1})
