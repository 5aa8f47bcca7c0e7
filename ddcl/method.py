"""Distortion-Disentangled Contrastive Learning (Wang, Song, Su, Zhou, WACV 2024, arXiv 2303.05066).

The features h [B, D] are split into a distortion-invariant part (DIR), the first ``round(dir_frac · D)`` columns, and
a distortion-variant part (DVR), the rest; 80 / 20 in the paper. DIR gets the usual loss of positive pairs. The
Distortion-Disentangled Loss (DDL) drives the DVRs of the two views to be orthogonal: it is the absolute value of the
*batch mean* of their cosine, so that signs cancel between images, as in the official code (not the mean of absolute
values).
"""

from __future__ import annotations

from torch import Tensor, nn

from ddcl.core.heads import barlow_projector, simsiam_predictor, simsiam_projector
from ddcl.core.losses import barlow_twins_loss, full_precision, mean_cosine, standardise
from ddcl.core.method import Batch, Method, Step
from ddcl.registry import DDCLSettings, DDCLSymmetricSettings


class _Split(Method):
    """The split of the features into DIR and DVR that both forms share."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: DDCLSettings | DDCLSymmetricSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.dir_dim = round(settings.dir_frac * feature_dim)
        self.dvr_dim = feature_dim - self.dir_dim
        if not 0 < self.dir_dim < feature_dim:
            raise ValueError(f"dir_frac {settings.dir_frac} of {feature_dim} features leaves one part empty")

    def parts(self) -> dict[str, tuple[int, int]]:
        return {
            "full": (0, self.feature_dim),
            "dir": (0, self.dir_dim),
            "dvr": (self.dir_dim, self.feature_dim),
        }

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return DIR [B, dir_dim] and DVR [B, dvr_dim] of the views x."""
        h = self.encoder(x)  # [B, D]
        return h[:, : self.dir_dim], h[:, self.dir_dim :]


class DDCL(_Split):
    """Asymmetric DDCL: SimSiam on DIR; each part has its own projector and predictor."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: DDCLSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.dvr_weight = settings.dvr_weight
        dim, hidden_dim = settings.projector_dim, settings.predictor_hidden_dim
        self.projector_dir = simsiam_projector(self.dir_dim, dim)
        self.projector_dvr = simsiam_projector(self.dvr_dim, dim)
        self.predictor_dir = simsiam_predictor(dim, hidden_dim)
        self.predictor_dvr = simsiam_predictor(dim, hidden_dim)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return z_dir, z_dvr (projections) and p_dir, p_dvr (predictions), each [B, d], of one view."""
        h_dir, h_dvr = self.split(x)
        z_dir, z_dvr = self.projector_dir(h_dir), self.projector_dvr(h_dvr)
        p_dir, p_dvr = self.predictor_dir(z_dir), self.predictor_dvr(z_dvr)
        return full_precision(z_dir), full_precision(z_dvr), full_precision(p_dir), full_precision(p_dvr)

    def step(self, batch: Batch) -> Step:
        z1_dir, z1_dvr, p1_dir, p1_dvr = self.embed(batch.x1)
        z2_dir, z2_dvr, p2_dir, p2_dvr = self.embed(batch.x2)
        # detach = stop-gradient on the four targets
        dir_loss = -0.5 * (mean_cosine(p1_dir, z2_dir.detach()) + mean_cosine(p2_dir, z1_dir.detach()))
        dvr_cosine = 0.5 * (mean_cosine(p1_dvr, z2_dvr.detach()) + mean_cosine(p2_dvr, z1_dvr.detach()))
        loss = dir_loss + self.dvr_weight * dvr_cosine.abs()
        return Step(loss, {"dir_loss": dir_loss, "dvr_cosine": dvr_cosine}, {"dir": z1_dir, "dvr": z1_dvr})

    def fixed_lr(self) -> list[nn.Module]:
        return [self.predictor_dir, self.predictor_dvr]


class DDCLSymmetric(_Split):
    """Symmetric DDCL: Barlow Twins on DIR, no predictor, DDL between the two DVR projections.

    No code of it was published; the paper (fig. 2) says: Barlow Twins' loss on the DIR projections, the DVR
    projections of the two views at 90°, no predictor. Left open there, chosen here:
    - the same projector for both parts (Barlow Twins', own weights), its DVR output standardised over the batch like
      the DIR output is, as the asymmetric projector ends in a BatchNorm too;
    - no stop-gradient on either DVR projection: fig. 2 draws it only in SimSiam's loss, and the loss is symmetric;
    - the DDL is |batch mean of the cosine|, as in the asymmetric code, with weight `dvr_weight`. Barlow Twins' loss
      is a sum over d² terms and the DDL is at most 1, so the same weight means less than in the asymmetric form.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: DDCLSymmetricSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.dvr_weight = settings.dvr_weight
        self.offdiag_weight = settings.offdiag_weight
        self.projector_dir = barlow_projector(self.dir_dim, settings.projector_dim)
        self.projector_dvr = barlow_projector(self.dvr_dim, settings.projector_dim)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the projections z_dir, z_dvr [B, d] of one view, z_dvr standardised."""
        h_dir, h_dvr = self.split(x)
        return full_precision(self.projector_dir(h_dir)), standardise(full_precision(self.projector_dvr(h_dvr)))

    def step(self, batch: Batch) -> Step:
        z1_dir, z1_dvr = self.embed(batch.x1)
        z2_dir, z2_dvr = self.embed(batch.x2)
        dir_loss = barlow_twins_loss(z1_dir, z2_dir, self.offdiag_weight)
        dvr_cosine = mean_cosine(z1_dvr, z2_dvr)
        loss = dir_loss + self.dvr_weight * dvr_cosine.abs()
        return Step(loss, {"dir_loss": dir_loss, "dvr_cosine": dvr_cosine}, {"dir": z1_dir, "dvr": z1_dvr})
