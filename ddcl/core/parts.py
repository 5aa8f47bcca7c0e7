"""Methods whose features are split into two parts: the first columns are DIR, the others DVR."""

from __future__ import annotations

from pydantic import BaseModel
from torch import Tensor, nn

from ddcl.core.losses import full_precision
from ddcl.core.method import Method


class TwoParts(Method):
    """Base of methods with a split. dir_frac: share of the features in DIR, which distortions should not change."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: BaseModel, dir_frac: float) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.dir_dim = round(dir_frac * feature_dim)
        self.dvr_dim = feature_dim - self.dir_dim
        if not 0 < self.dir_dim < feature_dim:
            raise ValueError(f"dir_frac {dir_frac} of {feature_dim} features leaves DIR or DVR empty")

    def parts(self) -> dict[str, tuple[int, int]]:
        return {
            "full": (0, self.feature_dim),
            "dir": (0, self.dir_dim),
            "dvr": (self.dir_dim, self.feature_dim),
        }

    def tells_collapse(self) -> tuple[str, ...]:
        return ("dir",)

    def split(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return DIR [B, dir_dim] and DVR [B, dvr_dim] of features h [B, D]."""
        return h[:, : self.dir_dim], h[:, self.dir_dim :]


class TwoProjectors(TwoParts):
    """Base of methods that project each part separately, without a predictor; subclasses build the two projectors."""

    projector_dir: nn.Module
    projector_dvr: nn.Module

    def embed(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the projections z_dir, z_dvr [B, d] of one view's features h [B, D]."""
        h_dir, h_dvr = self.split(h)
        return full_precision(self.projector_dir(h_dir)), full_precision(self.projector_dvr(h_dvr))

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        z_dir, z_dvr = self.embed(h)
        return {"dir": (z_dir, z_dir), "dvr": (z_dvr, z_dvr)}
