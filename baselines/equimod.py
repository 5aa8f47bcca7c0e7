"""EquiMod (Devillers and Lefort, ICLR 2023, arXiv 2211.01244) on SimCLR, as in the official code."""

from __future__ import annotations

import torch
from torch import nn

from baselines.simclr import SimCLR
from ddcl.core.drawn import told, width
from ddcl.core.heads import three_layers
from ddcl.core.losses import full_precision, nt_xent
from ddcl.core.method import Batch, Step, Task
from ddcl.schema.methods import EquiModSettings


class EquiMod(SimCLR):
    """SimCLR that also predicts a view's embedding from the unaugmented image's and the augmentation parameters."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: EquiModSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.settings, dim = settings, settings.equivariant_dim
        head = three_layers(feature_dim, settings.hidden_dim, dim)
        self.equivariant = nn.Sequential(head, nn.BatchNorm1d(dim, affine=False))

    def prepare(self, task: Task) -> None:
        self.ops, dim, told_dim = task.ops, self.settings.equivariant_dim, self.settings.told_dim
        self.teller = nn.Sequential(nn.Linear(width(task.ops), told_dim, bias=False), nn.BatchNorm1d(told_dim))
        joint = nn.Linear(dim + told_dim, dim, bias=False)
        self.predictor = nn.Sequential(joint, nn.BatchNorm1d(dim, affine=False))

    def step(self, batch: Batch) -> Step:
        assert batch.x0 is not None
        h0, h1, h2 = self.encoder(torch.cat([batch.x0, batch.x1, batch.x2])).chunk(3)  # one pass, as officially
        base = self.compare(h1, h2)
        y0, y1, y2 = full_precision(self.equivariant(torch.cat([h0, h1, h2]))).chunk(3)  # [B, d]
        omega = torch.cat([told(drawn, self.ops) for drawn in batch.drawn[:2]]).to(y0)  # [2 B, k]
        guess = self.predictor(torch.cat([y0.repeat(2, 1), self.teller(omega)], dim=1))
        moved = nt_xent(torch.cat([y1, y2]), full_precision(guess), self.settings.equivariant_temperature)
        return Step(base.loss + self.settings.equivariant_weight * moved, {"moved": moved}, base.embeddings)
