"""SimSiam (Chen and He, CVPR 2021, arXiv 2011.10566), as in the official code."""

from __future__ import annotations

from torch import Tensor, nn

from ddcl.core.heads import simsiam_predictor, simsiam_projector
from ddcl.core.losses import full_precision, mean_cosine
from ddcl.core.method import Batch, Method, Step
from ddcl.schema.methods import SimSiamBaselineSettings


class SimSiam(Method):
    """Predict one view's projection from the other's, with a stop-gradient on the target.

    `feature_frac` below 1 is the suite's own control: the method uses only the first share of the features.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SimSiamBaselineSettings) -> None:
        super().__init__(encoder, round(settings.feature_frac * feature_dim), settings)
        self.fix_predictor_lr = settings.fix_predictor_lr
        self.projector = simsiam_projector(self.feature_dim, settings.projector_dim, settings.projector_layers)
        self.projector[-2].bias.requires_grad_(False)  # the BN that follows cancels it; frozen in the official code
        self.predictor = simsiam_predictor(settings.projector_dim, settings.predictor_hidden_dim)

    def features(self, x: Tensor) -> Tensor:
        return super().features(x)[:, : self.feature_dim]

    def embed(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return projection and prediction [B, d] of one view's features h [B, D]."""
        z = self.projector(h)
        return full_precision(z), full_precision(self.predictor(z))

    def step(self, batch: Batch) -> Step:
        return self.compare(self.features(batch.x1), self.features(batch.x2))

    def compare(self, h1: Tensor, h2: Tensor) -> Step:
        """Return the loss of two views' features [B, D]."""
        z1, p1 = self.embed(h1)  # [B, d]
        z2, p2 = self.embed(h2)
        loss = -0.5 * (mean_cosine(p1, z2.detach()) + mean_cosine(p2, z1.detach()))  # eq. 2; detach = stop-gradient
        return Step(loss, embeddings={"full": z1})

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        z, p = self.embed(h)
        return {"full": (p, z)}

    def fixed_lr(self) -> list[nn.Module]:
        return [self.predictor] if self.fix_predictor_lr else []  # the official code's --fix-pred-lr
