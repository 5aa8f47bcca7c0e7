"""VICReg against Bardes et al. 2022, eq. 1 to 6, entry by entry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from baselines.vicreg import VICReg
from ddcl.core.method import Batch, Method
from ddcl.schema.methods import VICRegSettings
from tests.golden import compare, reference

WEIGHTS = (3.0, 5.0, 0.7)  # of one size, so that each term carries its share of value and gradient
SETTINGS = VICRegSettings(projector_dim=6, invariance_weight=3.0, std_weight=5.0, covariance_weight=0.7)


@pytest.fixture
def method() -> Method:
    method = compare.tiny(VICReg, SETTINGS)
    method.projector[6].weight.data *= 3  # so that the hinge is open for some columns and closed for others
    return method


def project(w: Any, x: Any) -> Any:
    return reference.barlow_projector(w, "projector", reference.encoder(w, x))


def loss(w: Any, x1: Any, x2: Any) -> Any:
    return reference.vicreg(project(w, x1), project(w, x2), WEIGHTS)


def test_some_columns_are_spread_enough_and_some_are_not(method: Method) -> None:
    """The method above: else the hinge would be all zero, or no hinge."""
    spread = project(compare.arrays(method), compare.two_views().x1.numpy()).std(0, ddof=1)
    assert spread.min() < 0.9 < 1.1 < spread.max()


def test_loss_is_the_formula(method: Method) -> None:
    compare.assert_loss(method, loss)


def test_gradients_are_those_of_the_formula(method: Method) -> None:
    """Through both views: nothing is stopped."""
    names = ["encoder.1.weight", "projector.3.weight", "projector.4.bias", "projector.6.weight"]
    compare.assert_all_gradients(method, loss, names)


def test_equal_views_that_are_spread_and_uncorrelated_cost_nothing() -> None:
    """Columns (2, 2, -2, -2) and (2, -2, 2, -2): standard deviation 2.3, covariance 0."""
    method = VICReg(nn.Flatten(), 2, SETTINGS).double()
    method.projector = nn.Identity()
    x = torch.tensor([[2, 2], [2, -2], [-2, 2], [-2, -2]], dtype=torch.float64)[:, :, None, None]
    assert float(method.step(Batch(x, x)).loss) == 0
    assert float(method.step(Batch(x, x + 1)).loss) == pytest.approx(WEIGHTS[0], rel=1e-12)


def test_batch_norm_sees_one_view_at_a_time(method: Method) -> None:
    compare.assert_projector_has_one_pass_per_view(method)


def test_everything_is_trained_and_no_rate_is_fixed(method: Method) -> None:
    assert all(p.requires_grad for p in method.parameters())
    assert list(method.fixed_lr()) == []
    assert method.parts() == {"full": (0, compare.FEATURE_DIM)}
