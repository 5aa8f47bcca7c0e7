"""SimCLR against Chen et al. 2020, eq. 1 and algorithm 1, pair by pair."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from baselines.simclr import SimCLR
from ddcl.core.losses import info_nce
from ddcl.core.method import Batch, Method
from ddcl.schema.methods import SimCLRSettings
from tests.golden import compare, reference

TEMPERATURE = 0.4
SETTINGS = SimCLRSettings(hidden_dim=7, projector_dim=5, temperature=TEMPERATURE)


@pytest.fixture
def method() -> Method:
    return compare.tiny(SimCLR, SETTINGS)


def project(w: Any, x: Any) -> Any:
    return reference.two_layers(w, "projector", reference.encoder(w, x))


def loss(w: Any, x1: Any, x2: Any) -> Any:
    return reference.nt_xent(project(w, x1), project(w, x2), TEMPERATURE)


def test_loss_is_the_formula(method: Method) -> None:
    compare.assert_loss(method, loss)


def test_gradients_are_those_of_the_formula(method: Method) -> None:
    """Through both views: nothing is stopped."""
    names = ["encoder.1.weight", "projector.0.weight", "projector.1.bias", "projector.3.weight"]
    compare.assert_all_gradients(method, loss, names)


def test_two_images_at_right_angles() -> None:
    """Both views alike: each row sees its other view at cosine 1 and the two views of the other image at 0."""
    method = SimCLR(nn.Flatten(), 2, SETTINGS).double()
    method.projector = nn.Identity()
    x = torch.eye(2, dtype=torch.float64)[:, :, None, None]
    right = math.exp(1 / TEMPERATURE)
    assert float(method.step(Batch(x, 3 * x)).loss) == pytest.approx(-math.log(right / (right + 2)), rel=1e-12)


def test_info_nce_has_the_other_view_only() -> None:
    """The same images: one candidate at cosine 1, one at 0. Also against the formula, on rows that are not alike."""
    x = torch.eye(2, dtype=torch.float64)
    right = math.exp(1 / TEMPERATURE)
    assert float(info_nce(x, 3 * x, TEMPERATURE)) == pytest.approx(-math.log(right / (right + 1)), rel=1e-12)
    a, b = (x.flatten(1)[:, :6] for x in (compare.two_views().x1, compare.two_views().x2))
    expected = reference.info_nce(a.numpy(), b.numpy(), TEMPERATURE)
    assert float(info_nce(a, b, TEMPERATURE)) == pytest.approx(expected, rel=1e-12)


def test_batch_norm_sees_one_view_at_a_time(method: Method) -> None:
    compare.assert_projector_has_one_pass_per_view(method)


def test_everything_is_trained_and_no_rate_is_fixed(method: Method) -> None:
    assert all(p.requires_grad for p in method.parameters())
    assert list(method.fixed_lr()) == []
    assert method.parts() == {"full": (0, compare.FEATURE_DIM)}
