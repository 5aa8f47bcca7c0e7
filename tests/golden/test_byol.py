"""BYOL against Grill et al. 2020, eq. 1 and 2, and its teacher's schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from baselines.byol import BYOL
from ddcl.core.method import Batch, Method
from ddcl.core.teachers import rising
from ddcl.schema.methods import BYOLSettings
from tests.golden import compare, reference

SETTINGS = BYOLSettings(hidden_dim=7, projector_dim=5, momentum=0.9)


@pytest.fixture
def method() -> Method:
    return compare.tiny(BYOL, SETTINGS)


def squared_distance(a: Any, b: Any) -> Any:
    """The mean over rows of ‖a / ‖a‖ − b / ‖b‖‖²."""
    total = 0.0
    for u, v in zip(a, b, strict=True):
        total = total + ((u / (u * u).sum() ** 0.5 - v / (v * v).sum() ** 0.5) ** 2).sum()
    return total / len(a)


def predict(w: Any, x: Any) -> Any:
    z = reference.two_layers(w, "projector", reference.encoder(w, x))
    return reference.two_layers(w, "predictor", z)


def teach(w: Any, x: Any) -> Any:
    """The teacher's projection; its weights are their own, and so those of the formula."""
    h = reference.affine(w, "teacher.0.1", x.reshape(len(x), -1))
    return reference.two_layers(w, "teacher.1", h)


def loss(w: Any, x1: Any, x2: Any) -> Any:
    return squared_distance(predict(w, x1), teach(w, x2)) + squared_distance(predict(w, x2), teach(w, x1))


def test_loss_is_the_formula(method: Method) -> None:
    compare.assert_loss(method, loss)


def test_gradients_are_those_of_the_formula(method: Method) -> None:
    names = ["encoder.1.weight", "projector.0.weight", "projector.1.bias", "predictor.3.bias"]
    compare.assert_all_gradients(method, loss, names)
    assert all(p.grad is None for p in method.teacher.parameters())


def test_the_teacher_begins_as_the_student_and_follows_it_along_a_cosine() -> None:
    """After step k of K: τ = 1 − 0.1 (cos(π k / K) + 1) / 2, so 0.95 in the middle and 1 at the end."""
    method = BYOL(nn.Sequential(nn.Flatten(), nn.Linear(12, 10)), 10, SETTINGS).double()
    student = nn.Sequential(method.encoder, method.projector)
    pairs = list(zip(method.teacher.parameters(), student.parameters(), strict=True))
    assert all(torch.equal(own, other) for own, other in pairs)
    before = [own.clone() for own, _ in pairs]
    for p in student.parameters():
        p.data += 1
    method.after_step(0.5)
    assert all(torch.allclose(own, old + 0.05) for (own, _), old in zip(pairs, before, strict=True))
    method.after_step(1.0)
    assert all(torch.allclose(own, old + 0.05) for (own, _), old in zip(pairs, before, strict=True))
    assert rising(0.9, 0.25) == pytest.approx(1 - 0.1 * (math.sqrt(0.5) + 1) / 2, rel=1e-12)


def test_a_perfect_prediction_costs_nothing() -> None:
    method = BYOL(nn.Flatten(), 3, SETTINGS)
    method.projector, method.predictor, method.teacher = nn.Identity(), nn.Identity(), nn.Flatten()
    x = torch.randn(5, 3, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(method.step(Batch(x, 7 * x)).loss) == pytest.approx(0, abs=1e-12)
    assert float(method.step(Batch(x, -x)).loss) == pytest.approx(8, rel=1e-12)


def test_number_of_parameters_at_the_authors_size() -> None:
    """Projector 2048-4096-256, predictor 256-4096-256; the teacher has the projector once more."""
    with torch.device("meta"):
        method = BYOL(nn.Identity(), 2048, BYOLSettings(hidden_dim=4096, projector_dim=256, momentum=0.996))
    heads = [compare.n_parameters(head) for head in (method.projector, method.predictor, method.teacher)]
    assert heads == [2048 * 4096 + 2 * 4096 + 4096 * 256 + 256, 2 * 4096 * 256 + 2 * 4096 + 256, heads[0]]
