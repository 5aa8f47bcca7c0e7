"""SimSiam (Chen and He, CVPR 2021, arXiv 2011.10566), as in the official code."""

from __future__ import annotations

from torch import Tensor, nn

from ddcl.core.heads import simsiam_predictor, simsiam_projector
from ddcl.core.losses import full_precision, mean_cosine
from ddcl.core.method import Batch, Method, Step
from ddcl.registry import SimSiamSettings


class SimSiam(Method):
    """Predict one view's projection from the other's; the target's gradient is stopped."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SimSiamSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.projector = simsiam_projector(feature_dim, settings.projector_dim)
        self.projector[6].bias.requires_grad_(False)  # the BN that follows cancels it; frozen in the official code
        self.predictor = simsiam_predictor(settings.projector_dim, settings.predictor_hidden_dim)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return projection and prediction [B, d] of one view."""
        z = self.projector(self.encoder(x))
        return full_precision(z), full_precision(self.predictor(z))

    def step(self, batch: Batch) -> Step:
        z1, p1 = self.embed(batch.x1)  # [B, d]
        z2, p2 = self.embed(batch.x2)
        loss = -0.5 * (mean_cosine(p1, z2.detach()) + mean_cosine(p2, z1.detach()))  # eq. 2; detach = stop-gradient
        return Step(loss, embeddings={"full": z1})

    def fixed_lr(self) -> list[nn.Module]:
        return [self.predictor]  # "the lr of the predictor is fixed" (official code, --fix-pred-lr)
