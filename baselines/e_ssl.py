"""E-SSL (Dangovski et al., ICLR 2022, arXiv 2111.00899) on SimSiam, as in the official code for CIFAR-10."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from baselines.simsiam import SimSiam
from ddcl.core.losses import full_precision
from ddcl.core.method import Batch, Step
from ddcl.schema.methods import ESSLSettings

QUARTERS = 4  # turns of 90°


class ESSL(SimSiam):
    """SimSiam that also predicts by how many quarter turns a third, smaller crop was rotated."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: ESSLSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.rotation_weight, dim = settings.rotation_weight, settings.rotation_dim
        self.turns = nn.Sequential(
            *(nn.Linear(self.feature_dim, dim), nn.LayerNorm(dim), nn.ReLU(inplace=True)),
            *(nn.Linear(dim, dim), nn.LayerNorm(dim)),  # no ReLU here on SimSiam in the official code
            nn.Linear(dim, QUARTERS),
        )

    def step(self, batch: Batch) -> Step:
        assert batch.x3 is not None
        base = super().step(batch)
        turned = torch.cat([batch.x3.rot90(quarters, (2, 3)) for quarters in range(QUARTERS)])  # [4 B, 3, S, S]
        label = torch.arange(QUARTERS, device=turned.device).repeat_interleave(len(batch.x3))
        turns = F.cross_entropy(full_precision(self.turns(self.features(turned))), label)
        return Step(base.loss + self.rotation_weight * turns, {"turns": turns}, base.embeddings)
