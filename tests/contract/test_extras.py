"""A method that asks for all that there is beyond two views: it trains, and is resumed bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.simsiam import SimSiam
from ddcl.core.losses import mean_cosine
from ddcl.core.method import Batch, Drawn, Step
from ddcl.core.pretrain import Pretraining
from ddcl.schema.extras import Extras, ThirdCrop
from ddcl.schema.methods import SimSiamBaselineSettings
from tests.contract.checks import check_frozen, check_resumed, check_step
from tests.contract.test_teachers import made
from tests.contract.toy import batch_for, recipe_of, train

ALL = Extras(drawn=True, original=True, crop=ThirdCrop(side_frac=0.5), shared_draws=2)


class Asking(SimSiam):
    """SimSiam, and a head that is to tell how far apart the two crops were cut, and to which the other views belong."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SimSiamBaselineSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.reader = nn.Linear(2 * feature_dim, 1)

    def step(self, batch: Batch) -> Step:
        assert batch.x0 is not None
        assert batch.x3 is not None
        h = [self.encoder(x) for x in (batch.x0, batch.x1, batch.x2, batch.x3)]
        found = self.reader(torch.cat(h[1:3], dim=1))[:, 0]
        moved = left(batch.drawn[0]) - left(batch.drawn[1])
        loss = (found - moved.to(found.dtype)).square().mean() - mean_cosine(h[0], h[3].detach())
        step = super().step(batch)
        return Step(step.loss + loss, {"moved": loss}, step.embeddings)


def left(drawn: Drawn) -> Tensor:
    crop = drawn["resized_crop"]
    return crop["left_px"] / crop["image_width_px"]


def training() -> Pretraining:
    return train(made(Asking), recipe_of("simsiam").model_copy(update={"extras": ALL}))


def test_it_is_given_what_it_asks_for_and_passes() -> None:
    recipe = recipe_of("simsiam").model_copy(update={"extras": ALL})
    batch = batch_for(made(Asking), recipe)
    assert batch.x0 is not None
    assert batch.x3 is not None
    assert (batch.x0.shape, batch.x3.shape) == ((32, 3, 16, 16), (32, 3, 8, 8))
    assert len(batch.drawn) == 3
    check_step(made(Asking), batch)
    check_frozen(made(Asking))


@pytest.mark.parametrize("by", ["a kill", "a signal"])
def test_its_training_is_resumed_bit_for_bit(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_resumed(training, by, tmp_path, monkeypatch)
