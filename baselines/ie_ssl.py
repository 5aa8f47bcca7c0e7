"""IE-SSL on SimCLR, following the code ChenLiu-1996/IE-SSL; no paper was published."""

from __future__ import annotations

from torch import nn

from ddcl.core.heads import simsiam_projector
from ddcl.core.losses import info_nce
from ddcl.core.method import Batch, Step
from ddcl.core.parts import TwoProjectors
from ddcl.schema.methods import IESSLSettings


class IESSL(TwoProjectors):
    """One part is trained to be invariant between views; the change of the other part should identify the augmentation.

    Images come in pairs that share the augmentation of each view: the loss matches the change of one image with that of
    its pair, among all changes. The original splits one projection; here the features are split, with a projector each,
    so that both parts can be evaluated.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: IESSLSettings) -> None:
        super().__init__(encoder, feature_dim, settings, settings.dir_frac)
        self.temperature = settings.temperature
        self.projector_dir = simsiam_projector(self.dir_dim, settings.dir_projector_dim, layers=2)
        self.projector_dvr = simsiam_projector(self.dvr_dim, settings.dvr_projector_dim, layers=2)

    def step(self, batch: Batch) -> Step:
        (z1_dir, z1_dvr), (z2_dir, z2_dvr) = self.embed(self.encoder(batch.x1)), self.embed(self.encoder(batch.x2))
        same = 0.5 * (info_nce(z1_dir, z2_dir, self.temperature) + info_nce(z2_dir, z1_dir, self.temperature))
        move = z1_dvr - z2_dvr  # rows 2 i and 2 i + 1 have the same draws
        moves = info_nce(move[::2], move[1::2], self.temperature)
        return Step(same + moves, {"dir_loss": same, "dvr_loss": moves}, {"dir": z1_dir, "dvr": z1_dvr})
