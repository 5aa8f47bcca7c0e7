"""A method: views come together on one half of the features, and the other tells which of them were mirrored."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from ddcl.core.method import Batch, Method, Step
from ddcl.schema.extras import Extras
from ddcl.schema.methods import MethodSettings
from ddcl.schema.plugins import plugin
from ddcl.schema.registry import MethodEntry

from .losses import distance


class MineSettings(MethodSettings):
    """Settings of `Mine`."""

    dim: int = Field(ge=2, description="width of the projection")
    weight: float = Field(default=1.0, ge=0, description="of telling which view was mirrored")

    def extras(self) -> Extras:
        """It needs to know what was drawn."""
        return Extras(drawn=True)


@plugin(MethodEntry, MineSettings, parts=("full", "dir", "dvr"))
class Mine(Method):
    """The method."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: MineSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.weight, self.half = settings.weight, feature_dim // 2
        self.projector = nn.Sequential(nn.Linear(self.half, settings.dim), nn.BatchNorm1d(settings.dim, affine=False))
        self.reader = nn.Linear(feature_dim - self.half, 1)

    def parts(self) -> dict[str, tuple[int, int]]:
        return {"full": (0, self.feature_dim), "dir": (0, self.half), "dvr": (self.half, self.feature_dim)}

    def step(self, batch: Batch) -> Step:
        h = [self.encoder(x) for x in (batch.x1, batch.x2)]
        z1, z2 = (self.projector(each[:, : self.half]) for each in h)
        told = torch.cat([self.reader(each[:, self.half :])[:, 0] for each in h])
        mirrored = torch.cat([own["horizontal_flip"]["applied"] for own in batch.drawn]).to(told.dtype)
        flip = nn.functional.binary_cross_entropy_with_logits(told, mirrored)
        return Step(distance(z1, z2) + self.weight * flip, {"flip": flip}, {"dir": z1})

    def tells_collapse(self) -> tuple[str, ...]:
        return ("dir",)

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        z = self.projector(h[:, : self.half])
        return {"dir": (z, z)}
