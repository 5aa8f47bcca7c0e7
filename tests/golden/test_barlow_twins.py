"""Barlow Twins against Zbontar et al. 2021, eq. 1 and 2, entry by entry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from baselines.barlow_twins import BarlowTwins
from ddcl.core.method import Batch, Method
from ddcl.schema.methods import BarlowTwinsSettings
from tests.golden import compare, reference

WEIGHT = 0.25  # large, so that the off-diagonal term carries its share of value and gradient
SETTINGS = BarlowTwinsSettings(projector_dim=6, offdiag_weight=WEIGHT)


@pytest.fixture
def method() -> Method:
    return compare.tiny(BarlowTwins, SETTINGS)


def project(w: Any, x: Any) -> Any:
    return reference.barlow_projector(w, "projector", reference.encoder(w, x))


def loss(w: Any, x1: Any, x2: Any) -> Any:
    return reference.barlow_twins(project(w, x1), project(w, x2), WEIGHT)


def test_loss_is_the_formula(method: Method) -> None:
    compare.assert_loss(method, loss)


def test_gradients_are_those_of_the_formula(method: Method) -> None:
    """Through both views: nothing is stopped."""
    names = ["encoder.1.weight", "projector.3.weight", "projector.4.bias", "projector.6.weight"]
    compare.assert_all_gradients(method, loss, names)


def test_gradient_comes_through_both_views(method: Method) -> None:
    batch = compare.two_views()

    def stopped(w: Any) -> Any:
        return reference.barlow_twins(project(w, batch.x1), project(w, batch.x2).detach(), WEIGHT)

    half = compare.formula_gradients(method, stopped)["encoder.1.weight"]
    assert half is not None
    whole = compare.encoder_gradient(method, batch)
    assert (whole - half).norm() > 0.1 * whole.norm()


def test_equal_views_leave_the_redundancy_only(method: Method) -> None:
    """C_ii is 1 up to BatchNorm's eps, so what is left is the off-diagonal term."""
    x = compare.two_views().x1
    z = reference.standardised(project(compare.arrays(method), x.numpy()))
    c = z.T @ z / len(z)
    redundancy = WEIGHT * ((c**2).sum() - (c.diagonal() ** 2).sum())
    assert float(method.step(Batch(x, x)).loss.detach()) == pytest.approx(redundancy, rel=1e-4)


def test_batch_norm_sees_one_view_at_a_time(method: Method) -> None:
    compare.assert_projector_has_one_pass_per_view(method)


def test_number_of_parameters_at_the_authors_size() -> None:
    """8192-8192-8192 on 2048 features: three matrices without bias, two BatchNorms; the last one has no affine part."""
    with torch.device("meta"):
        method = BarlowTwins(nn.Identity(), 2048, BarlowTwinsSettings(projector_dim=8192, offdiag_weight=0.0051))
    assert compare.n_parameters(method) == 2048 * 8192 + 2 * 8192 * 8192 + 2 * 2 * 8192


def test_everything_is_trained_and_no_rate_is_fixed(method: Method) -> None:
    assert all(p.requires_grad for p in method.parameters())
    assert list(method.fixed_lr()) == []
    assert method.parts() == {"full": (0, compare.FEATURE_DIM)}
