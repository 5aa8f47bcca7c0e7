"""Distortion-Disentangled Contrastive Learning (Wang, Song, Su, Zhou, WACV 2024, arXiv 2303.05066).

The features h [B, D] are split into a distortion-invariant part (DIR), the first ``round(dir_frac · D)`` columns, and
a distortion-variant part (DVR), the rest; 80 / 20 in the paper. DIR gets the usual loss of positive pairs. The
Distortion-Disentangled Loss (DDL) drives the DVRs of the two views to be orthogonal: it is the absolute value of the
*batch mean* of their cosine, so that signs cancel between images, as in the official code. With two other settings of
``dvr_form`` they cannot cancel: `mean_of_abs`, and `softmax`, the cosine of the softmaxes, as in the authors' CLeVER.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ddcl.core.heads import barlow_projector, simsiam_predictor, simsiam_projector
from ddcl.core.losses import (
    barlow_twins_loss,
    cosine,
    full_precision,
    group_means,
    mean_cosine,
    squared_norm,
    standardise,
)
from ddcl.core.method import Batch, Step
from ddcl.core.parts import TwoParts, TwoProjectors
from ddcl.schema.methods import DDCLSettings, DDCLSymmetricSettings, SplitSettings


class Split(TwoParts):
    """The split of the features into DIR and DVR and the loss on DVR, shared by all forms.

    The spread of DVR does not indicate collapse: its loss makes views orthogonal and does not spread images apart.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SplitSettings) -> None:
        super().__init__(encoder, feature_dim, settings, settings.dir_frac)
        self.dvr_weight, self.dvr_form, self.dvr_groups = settings.dvr_weight, settings.dvr_form, settings.dvr_groups
        self.dvr_temperature = settings.dvr_temperature

    def dvr_cosine(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the cosine [B] of two views' DVRs a, b [B, d], from which the DDL is computed."""
        if self.dvr_form == "softmax":
            a, b = (torch.softmax(each / self.dvr_temperature, dim=1) for each in (a, b))
        return cosine(a, b)

    def keep_untrained(self, *heads: nn.Module) -> None:
        """Keep DVR's heads at their initial weights if no loss trains them (λ = 0, the control).

        Weight decay alone would shrink them (with Adam to zero), and the cosines of their outputs would be 0.
        """
        if not self.dvr_weight:
            for head in heads:
                head.requires_grad_(False)

    def disentangling_loss(self, *cosines: Tensor) -> Tensor:
        """Return the DDL, a scalar in [0, 1], of the cosines [B] of the two views' DVRs, in one or two directions."""
        directions = torch.stack(cosines)  # [1 or 2, B]
        if self.dvr_form == "mean_of_abs":
            return directions.abs().mean()
        return group_means(directions.mean(dim=0), self.dvr_groups).abs().mean()


class Predicting(Split):
    """Base of forms in which each part has its own projector and predictor; subclasses build all four."""

    projector_dir: nn.Module
    projector_dvr: nn.Module
    predictor_dir: nn.Module
    predictor_dvr: nn.Module

    def embed(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return z_dir, z_dvr (projections) and p_dir, p_dvr (predictions), each [B, d], of one view's features h."""
        h_dir, h_dvr = self.split(h)
        z_dir, z_dvr = self.projector_dir(h_dir), self.projector_dvr(h_dvr)
        p_dir, p_dvr = self.predictor_dir(z_dir), self.predictor_dvr(z_dvr)
        return full_precision(z_dir), full_precision(z_dvr), full_precision(p_dir), full_precision(p_dvr)

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        z_dir, z_dvr, p_dir, p_dvr = self.embed(h)
        return {"dir": (p_dir, z_dir), "dvr": (p_dvr, z_dvr)}


class DDCL(Predicting):
    """Asymmetric DDCL: SimSiam on DIR; each part has its own projector and predictor.

    With `preg_weight`, DDCL+PReg of the official code: the squared norms of the two parts' heads are tied.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: DDCLSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.preg_weight, self.fix_predictor_lr = settings.preg_weight, settings.fix_predictor_lr
        dim, layers, hidden_dim = settings.projector_dim, settings.projector_layers, settings.predictor_hidden_dim
        self.projector_dir = simsiam_projector(self.dir_dim, dim, layers)
        self.projector_dvr = simsiam_projector(self.dvr_dim, dim, layers)
        self.predictor_dir = simsiam_predictor(dim, hidden_dim)
        self.predictor_dvr = simsiam_predictor(dim, hidden_dim)
        if not self.preg_weight:
            self.keep_untrained(self.projector_dvr, self.predictor_dvr)

    def step(self, batch: Batch) -> Step:
        z1_dir, z1_dvr, p1_dir, p1_dvr = self.embed(self.encoder(batch.x1))
        z2_dir, z2_dvr, p2_dir, p2_dvr = self.embed(self.encoder(batch.x2))
        # detach = stop-gradient on the four targets
        dir_loss = -0.5 * (mean_cosine(p1_dir, z2_dir.detach()) + mean_cosine(p2_dir, z1_dir.detach()))
        towards, back = self.dvr_cosine(p1_dvr, z2_dvr.detach()), self.dvr_cosine(p2_dvr, z1_dvr.detach())  # [B]
        loss = dir_loss + self.dvr_weight * self.disentangling_loss(towards, back)
        terms = {"dir_loss": dir_loss, "dvr_cosine": 0.5 * (towards + back).mean()}
        if self.preg_weight:
            terms["preg"] = self.parameter_regularisation()
            loss = loss + self.preg_weight * terms["preg"]
        return Step(loss, terms, {"dir": z1_dir, "dvr": z1_dvr})

    def parameter_regularisation(self) -> Tensor:
        """Return PReg: half of |‖g_dir‖² − ‖g_dvr‖²| + |‖q_dir‖² − ‖q_dvr‖²|, over all parameters of the heads."""
        projectors = squared_norm(self.projector_dir) - squared_norm(self.projector_dvr)
        predictors = squared_norm(self.predictor_dir) - squared_norm(self.predictor_dvr)
        return 0.5 * (projectors.abs() + predictors.abs())

    def fixed_lr(self) -> list[nn.Module]:
        return [self.predictor_dir, self.predictor_dvr] if self.fix_predictor_lr else []


class Siamese(Split, TwoProjectors):
    """Any loss of two projections on DIR, and the DDL on the two DVR projections; no predictor or stop-gradient."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SplitSettings, projector_dim: int) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.projector_dir = barlow_projector(self.dir_dim, projector_dim)
        self.projector_dvr = barlow_projector(self.dvr_dim, projector_dim)
        self.keep_untrained(self.projector_dvr)

    def dir_loss(self, z1: Tensor, z2: Tensor) -> Tensor:
        """Return the base's loss of two views' DIR projections [B, d]."""
        raise NotImplementedError(f"{type(self).__name__} does not define dir_loss(z1, z2) -> Tensor")

    def embed(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the projections z_dir, z_dvr [B, d] of one view's features h [B, D], z_dvr standardised."""
        z_dir, z_dvr = super().embed(h)
        return z_dir, standardise(z_dvr)

    def step(self, batch: Batch) -> Step:
        z1_dir, z1_dvr = self.embed(self.encoder(batch.x1))
        z2_dir, z2_dvr = self.embed(self.encoder(batch.x2))
        dir_loss = self.dir_loss(z1_dir, z2_dir)
        cosines = self.dvr_cosine(z1_dvr, z2_dvr)  # [B]
        loss = dir_loss + self.dvr_weight * self.disentangling_loss(cosines)
        return Step(loss, {"dir_loss": dir_loss, "dvr_cosine": cosines.mean()}, {"dir": z1_dir, "dvr": z1_dvr})


class DDCLSymmetric(Siamese):
    """Symmetric DDCL: Barlow Twins on DIR, no predictor, DDL between the two DVR projections.

    No code was published. The paper (fig. 2) specifies Barlow Twins' loss on the DIR projections, orthogonal DVR
    projections of the two views, and no predictor. It leaves the following open; our choices are:
    - both parts have a projector like Barlow Twins' (with separate weights); the DVR output is standardised over the
      batch like the DIR output, as the asymmetric projector also ends in a BatchNorm;
    - no stop-gradient on either DVR projection: fig. 2 draws it only in SimSiam's loss, and the loss is symmetric;
    - the DDL is |batch mean of the cosine|, as in the asymmetric code, with weight `dvr_weight`. Barlow Twins' loss
      is a sum over d² terms and the DDL is at most 1, so the same weight has less effect than in the asymmetric form.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: DDCLSymmetricSettings) -> None:
        super().__init__(encoder, feature_dim, settings, settings.projector_dim)
        self.offdiag_weight = settings.offdiag_weight

    def dir_loss(self, z1: Tensor, z2: Tensor) -> Tensor:
        return barlow_twins_loss(z1, z2, self.offdiag_weight)
