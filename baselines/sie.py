"""SIE (Garrido, Najman, LeCun, ICML 2023, arXiv 2302.10283), after the paper; not compared with the official code."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ddcl.core.drawn import told, width
from ddcl.core.heads import barlow_projector
from ddcl.core.losses import full_precision, vicreg_loss
from ddcl.core.method import Batch, Step, Task
from ddcl.core.parts import TwoProjectors
from ddcl.schema.methods import SIESettings


class SIE(TwoProjectors):
    """One part is trained to be invariant between views; the other to change by a linear map predicted from ω.

    DIR is the invariant part, DVR the equivariant one. ω: the augmentation parameters of view 2 minus those of view 1.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SIESettings) -> None:
        super().__init__(encoder, feature_dim, settings, settings.dir_frac)
        self.settings, self.dim = settings, settings.projector_dim
        self.projector_dir = barlow_projector(self.dir_dim, self.dim)
        self.projector_dvr = barlow_projector(self.dvr_dim, self.dim)

    def prepare(self, task: Task) -> None:
        self.ops = task.ops
        self.hypernetwork = nn.Linear(width(task.ops), self.dim**2)

    def step(self, batch: Batch) -> Step:
        own = self.settings
        (z1_dir, z1_dvr), (z2_dir, z2_dvr) = self.embed(self.encoder(batch.x1)), self.embed(self.encoder(batch.x2))
        omega = (told(batch.drawn[1], self.ops) - told(batch.drawn[0], self.ops)).to(z1_dvr)
        maps = full_precision(self.hypernetwork(omega)).view(-1, self.dim, self.dim)  # [B, d, d]
        moved = torch.einsum("bij,bj->bi", maps, z1_dvr)
        spread = vicreg_loss(
            torch.cat([z1_dir, z1_dvr], 1), torch.cat([z2_dir, z2_dvr], 1), 0.0, own.std_weight, own.covariance_weight
        )
        terms = {"dir_loss": F.mse_loss(z1_dir, z2_dir), "dvr_loss": F.mse_loss(moved, z2_dvr)}
        loss = spread + own.invariance_weight * terms["dir_loss"] + own.equivariance_weight * terms["dvr_loss"]
        return Step(loss, terms, {"dir": z1_dir, "dvr": z1_dvr})
