"""BYOL (Grill et al., NeurIPS 2020, arXiv 2006.07733)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ddcl.core.heads import two_layers
from ddcl.core.losses import byol_loss, full_precision
from ddcl.core.method import Batch, Method, Step
from ddcl.core.teachers import follow, frozen_copy, rising
from ddcl.schema.methods import BYOLSettings


class BYOL(Method):
    """Predict, from one view's projection, a slowly updated teacher's projection of the other view."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: BYOLSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.momentum = settings.momentum
        self.projector = two_layers(feature_dim, settings.hidden_dim, settings.projector_dim)
        self.predictor = two_layers(settings.projector_dim, settings.hidden_dim, settings.projector_dim)
        self.teacher = frozen_copy(nn.Sequential(encoder, self.projector))

    def embed(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return projection and prediction [B, d] of one view's features h [B, D]."""
        z = self.projector(h)
        return full_precision(z), full_precision(self.predictor(z))

    @torch.no_grad()
    def target(self, x: Tensor) -> Tensor:
        """Return the teacher's projection [B, d], without gradient."""
        return full_precision(self.teacher(x))

    def step(self, batch: Batch) -> Step:
        z1, p1 = self.embed(self.encoder(batch.x1))  # [B, d]
        _, p2 = self.embed(self.encoder(batch.x2))
        loss = byol_loss(p1, self.target(batch.x2)) + byol_loss(p2, self.target(batch.x1))  # eq. 2 and below
        return Step(loss, embeddings={"full": z1})

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        z, p = self.embed(h)
        return {"full": (p, z)}

    def frozen(self) -> list[nn.Module]:
        return [self.teacher]

    def after_step(self, progress: float) -> None:
        follow(self.teacher, nn.Sequential(self.encoder, self.projector), rising(self.momentum, progress))
