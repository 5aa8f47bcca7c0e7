"""AugSelf (Lee, Lee, Lee, Lee, Shin, NeurIPS 2021, arXiv 2111.09613), as in the official code."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.barlow_twins import BarlowTwins
from baselines.simsiam import SimSiam
from ddcl.core.drawn import NUMBERS, numbers
from ddcl.core.heads import three_layers
from ddcl.core.losses import full_precision
from ddcl.core.method import Batch, Method, Step, Task
from ddcl.schema.methods import AugSelfSettings

CROP, FLIP = "resized_crop", "horizontal_flip"


class AugSelf(Method):
    """A base method that also predicts, from two views' features, the difference of their augmentation parameters."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: AugSelfSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.weights = dict[str, float](settings.weights.items())
        self.hidden_dim = settings.hidden_dim

    def prepare(self, task: Task) -> None:
        self.ops, dims = task.ops, (2 * self.feature_dim, self.hidden_dim)
        own = [op for op, _ in task.ops if self.weights.get(op)]
        self.predictors = nn.ModuleDict({op: three_layers(*dims, NUMBERS[op][0]) for op in own})

    def change(self, first: dict[str, Tensor], second: dict[str, Tensor], op: str) -> Tensor:
        """Return the parameters' difference [B, k], first − second; a crop's x is mirrored if the first view is."""
        change = first[op] - second[op]
        if op == CROP and FLIP in first:
            change[:, :1] *= 1 - 2 * first[FLIP]
        return change

    def step(self, batch: Batch) -> Step:
        h1, h2 = self.features(batch.x1), self.features(batch.x2)
        base: Step = super().compare(h1, h2)  # type: ignore[misc]  # of the other base class
        pairs = torch.cat([torch.cat([h1, h2], dim=1), torch.cat([h2, h1], dim=1)])  # [2 B, 2 D], both ways round
        first, second = (numbers(view, self.ops) for view in batch.drawn[:2])
        loss, terms = base.loss, base.terms
        for op, predictor in self.predictors.items():
            guess = full_precision(predictor(pairs))
            target = torch.cat([self.change(first, second, op), self.change(second, first, op)]).to(guess)
            if op == FLIP:  # whether both views are mirrored, or neither
                terms[op] = F.binary_cross_entropy_with_logits(guess, (target == 0).to(guess))
            else:
                terms[op] = F.mse_loss(guess.tanh(), target)
            loss = loss + self.weights[op] * terms[op]
        return Step(loss, terms, base.embeddings)


class AugSelfSimSiam(AugSelf, SimSiam): ...


class AugSelfBarlowTwins(AugSelf, BarlowTwins): ...
