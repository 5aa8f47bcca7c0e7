"""SimCLR (Chen, Kornblith, Norouzi, Hinton, ICML 2020, arXiv 2002.05709)."""

from __future__ import annotations

from torch import Tensor, nn

from ddcl.core.heads import two_layers
from ddcl.core.losses import nt_xent
from ddcl.core.method import Batch, Step
from ddcl.core.projected import Projected
from ddcl.schema.methods import SimCLRSettings


class SimCLR(Projected):
    """Find an image's other view among all views in the batch, by the cosine of their projections."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SimCLRSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.temperature = settings.temperature
        self.projector = two_layers(feature_dim, settings.hidden_dim, settings.projector_dim)

    def step(self, batch: Batch) -> Step:
        return self.compare(self.encoder(batch.x1), self.encoder(batch.x2))

    def compare(self, h1: Tensor, h2: Tensor) -> Step:
        """Return the loss of two views' features [B, D]."""
        z1, z2 = self.embed(h1), self.embed(h2)  # [B, d]
        return Step(nt_xent(z1, z2, self.temperature), embeddings={"full": z1})
