"""Methods whose features are split into two parts: the first columns are DIR, the others DVR."""

from __future__ import annotations

from pydantic import BaseModel
from torch import Tensor, nn

from ddcl.core.method import Method


class TwoParts(Method):
    """Base of methods with a split. dir_frac: share of the features that is DIR, which no distortion is to move."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: BaseModel, dir_frac: float) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.dir_dim = round(dir_frac * feature_dim)
        self.dvr_dim = feature_dim - self.dir_dim
        if not 0 < self.dir_dim < feature_dim:
            raise ValueError(f"dir_frac {dir_frac} of {feature_dim} features leaves one part empty")

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
