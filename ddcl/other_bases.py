"""DDCL on other bases than its authors': is the framework general, as the paper's abstract says?

The split and the loss on DVR are those of `ddcl.method`; DIR gets the loss of BYOL or of VICReg. Ours: neither form is
in the paper, and no code of them was published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ddcl.core.heads import two_layers
from ddcl.core.losses import byol_loss, full_precision, vicreg_loss
from ddcl.core.method import Batch, Step
from ddcl.core.teachers import follow, frozen_copy, rising
from ddcl.method import Predicting, Siamese
from ddcl.schema.methods import DDCLBYOLSettings, DDCLVICRegSettings


class DDCLOnVICReg(Siamese):
    """VICReg on DIR, as the symmetric form has Barlow Twins there."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: DDCLVICRegSettings) -> None:
        super().__init__(encoder, feature_dim, settings, settings.projector_dim)
        self.weights = settings.invariance_weight, settings.std_weight, settings.covariance_weight

    def dir_loss(self, z1: Tensor, z2: Tensor) -> Tensor:
        return vicreg_loss(z1, z2, *self.weights)


class DDCLOnBYOL(Predicting):
    """BYOL on DIR, as the asymmetric form has SimSiam there: each part has its own projector and predictor.

    The targets of both parts are the teacher's, where those of the asymmetric form are the network's own.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: DDCLBYOLSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.momentum = settings.momentum
        dim, hidden_dim = settings.projector_dim, settings.hidden_dim
        self.projector_dir = two_layers(self.dir_dim, hidden_dim, dim)
        self.projector_dvr = two_layers(self.dvr_dim, hidden_dim, dim)
        self.predictor_dir = two_layers(dim, hidden_dim, dim)
        self.predictor_dvr = two_layers(dim, hidden_dim, dim)
        self.keep_untrained(self.projector_dvr, self.predictor_dvr)
        self.teacher = frozen_copy(self.student())

    def student(self) -> nn.ModuleList:
        """Return what the teacher follows: the encoder and the two projectors."""
        return nn.ModuleList([self.encoder, self.projector_dir, self.projector_dvr])

    @torch.no_grad()
    def targets(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's projections [B, d] of DIR and DVR, without gradient."""
        encoder, projector_dir, projector_dvr = self.teacher
        h_dir, h_dvr = self.split(encoder(x))
        return full_precision(projector_dir(h_dir)), full_precision(projector_dvr(h_dvr))

    def step(self, batch: Batch) -> Step:
        z1_dir, z1_dvr, p1_dir, p1_dvr = self.embed(self.encoder(batch.x1))
        _, _, p2_dir, p2_dvr = self.embed(self.encoder(batch.x2))
        (t1_dir, t1_dvr), (t2_dir, t2_dvr) = self.targets(batch.x1), self.targets(batch.x2)
        dir_loss = byol_loss(p1_dir, t2_dir) + byol_loss(p2_dir, t1_dir)
        towards, back = self.dvr_cosine(p1_dvr, t2_dvr), self.dvr_cosine(p2_dvr, t1_dvr)  # [B]
        loss = dir_loss + self.dvr_weight * self.disentangling_loss(towards, back)
        terms = {"dir_loss": dir_loss, "dvr_cosine": 0.5 * (towards + back).mean()}
        return Step(loss, terms, {"dir": z1_dir, "dvr": z1_dvr})

    def frozen(self) -> list[nn.Module]:
        return [self.teacher]

    def after_step(self, progress: float) -> None:
        follow(self.teacher, self.student(), rising(self.momentum, progress))
