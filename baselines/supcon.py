"""SupCon (Khosla et al., NeurIPS 2020, arXiv 2004.11362): a supervised reference, not a competing method."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ddcl.core import distributed
from ddcl.core.heads import two_layers
from ddcl.core.method import Batch, Step
from ddcl.core.projected import Projected
from ddcl.schema.methods import SupConSettings


class SupCon(Projected):
    """Find the views of all images of an image's class among all views in the batch."""

    supervised = True

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SupConSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.temperature = settings.temperature
        self.projector = two_layers(feature_dim, settings.hidden_dim, settings.projector_dim)

    def step(self, batch: Batch) -> Step:
        assert batch.labels is not None
        z1, z2 = self.embed(self.encoder(batch.x1)), self.embed(self.encoder(batch.x2))  # [B, d]
        z, label = torch.cat([z1, z2]), batch.labels.repeat(2)  # [2 B, d], [2 B]
        others, labels = distributed.all_rows(z), distributed.rows(label)  # of all processes
        row = torch.arange(len(z), device=z.device) + distributed.rank() * len(z)
        oneself = F.one_hot(row, len(others)).bool()
        logits = F.normalize(z, dim=1) @ F.normalize(others, dim=1).T / self.temperature
        log_prob = logits.masked_fill(oneself, -math.inf).log_softmax(dim=1)
        positive = (label[:, None] == labels) & ~oneself  # at least the other view
        per_row = log_prob.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1)  # eq. 2, L_out
        return Step(-per_row.mean(), embeddings={"full": z1})

    def tells_collapse(self) -> tuple[str, ...]:
        return ()  # its loss draws the images of a class together to one point
