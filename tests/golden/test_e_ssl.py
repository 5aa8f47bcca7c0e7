"""E-SSL against Dangovski et al. 2022, eq. 2, and its official code for CIFAR-10, turn by turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from baselines.e_ssl import ESSL
from ddcl.core.method import Batch, Method
from ddcl.schema.methods import ESSLSettings
from tests.golden import compare, reference, test_simsiam

SETTINGS = ESSLSettings(**test_simsiam.SETTINGS.model_dump(), rotation_weight=0.7, rotation_dim=6, crop_side_frac=0.5)


def batch() -> Batch:
    return replace(compare.two_views(), x3=compare.two_views(7).x1)


def turned(x: Any) -> list[Any]:
    """The images turned by 0, 90, 180 and 270 degrees anticlockwise, pixel by pixel: the pixel at row i of column j."""
    return [x, x[:, :, :, ::-1].swapaxes(2, 3), x[:, :, ::-1, ::-1], x.swapaxes(2, 3)[:, :, :, ::-1]]


def loss(w: Any, x1: Any, x2: Any, targets: Any) -> Any:
    x3 = np.concatenate(turned(batch().x3.numpy())).copy()  # type: ignore[union-attr]
    x3 = x3 if isinstance(x1, np.ndarray) else torch.from_numpy(x3)
    hidden = reference.affine(w, "turns.0", reference.encoder(w, x3))
    hidden = reference.relu(reference.layer_norm(w, "turns.1", hidden))
    hidden = reference.layer_norm(w, "turns.4", reference.affine(w, "turns.3", hidden))
    label = [quarters for quarters in range(4) for _ in range(compare.B)]
    turns = reference.cross_entropy(reference.affine(w, "turns.5", hidden), label)
    return test_simsiam.loss(w, x1, x2, targets) + 0.7 * turns


@pytest.fixture
def method() -> Method:
    return compare.tiny(ESSL, SETTINGS)


def constants(method: Method) -> Any:
    w = compare.arrays(method)
    return tuple(test_simsiam.project(w, x) for x in compare.pixels(batch()))


def test_loss_is_the_formula(method: Method) -> None:
    found = float(method.step(batch()).loss.detach())
    w = compare.arrays(method)
    assert found == pytest.approx(loss(w, *compare.pixels(batch()), constants(method)), rel=1e-12)


def test_gradients_are_those_of_the_formula(method: Method) -> None:
    own, frozen = batch(), constants(method)
    names = ["encoder.1.weight", "turns.0.weight", "turns.4.bias"]
    compare.assert_finite_differences(method, own, lambda w: loss(w, *compare.pixels(own), frozen), names)
    stopped = tuple(torch.from_numpy(z) for z in frozen)
    compare.assert_gradients(method, own, lambda w: loss(w, own.x1, own.x2, stopped))
