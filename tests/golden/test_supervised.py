"""The supervised references against their formulas: Khosla et al. 2020, eq. 2, and the cross-entropy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from baselines.cross_entropy import CrossEntropy
from baselines.supcon import SupCon
from ddcl.core.method import Batch, Method
from ddcl.schema.methods import NoMethodSettings, SupConSettings
from ddcl.schema.recipes import read_dataset
from ddcl.schema.registry import METHODS
from ddcl.schema.variants import read_variant, variant_names
from tests.golden import compare, reference

TEMPERATURE = 0.4
LABELS = [0, 1, 2, 0, 1, 1, 0, 1]  # one class of a single image


def supcon(w: Any, x1: Any, x2: Any) -> Any:
    z1, z2 = (reference.two_layers(w, "projector", reference.encoder(w, x)) for x in (x1, x2))
    return reference.supcon(z1, z2, LABELS, TEMPERATURE)


def cross_entropy(w: Any, x1: Any, x2: Any) -> Any:
    logits = [reference.affine(w, "classifier", reference.encoder(w, x)) for x in (x1, x2)]
    return sum(reference.cross_entropy(each, LABELS) for each in logits) / 2


CASES = {
    "supcon": (SupCon, SupConSettings(hidden_dim=7, projector_dim=5, temperature=TEMPERATURE), supcon),
    "cross_entropy": (CrossEntropy, NoMethodSettings(), cross_entropy),
}
HEADS = {
    "supcon": ["projector.0.weight", "projector.1.bias"],
    "cross_entropy": ["classifier.weight", "classifier.bias"],
}


def labelled() -> Batch:
    return replace(compare.two_views(), labels=torch.tensor(LABELS))


def made(name: str) -> Method:
    cls, settings, _ = CASES[name]
    return compare.tiny(cls, settings)


@pytest.mark.parametrize("name", CASES)
def test_loss_is_the_formula(name: str) -> None:
    compare.assert_loss(made(name), CASES[name][2], labelled())


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_formula(name: str) -> None:
    method, batch, formula = made(name), labelled(), CASES[name][2]
    names = ["encoder.1.weight", *HEADS[name]]
    compare.assert_all_gradients(method, formula, names, batch)


def test_supcon_without_two_images_of_a_class_is_simclr() -> None:
    method, batch = made("supcon"), replace(compare.two_views(), labels=torch.arange(8))
    w = compare.arrays(method)
    z1, z2 = (reference.two_layers(w, "projector", reference.encoder(w, x)) for x in compare.pixels(batch))
    assert float(method.step(batch).loss.detach()) == pytest.approx(reference.nt_xent(z1, z2, TEMPERATURE), rel=1e-12)


def test_supervised_is_part_of_their_name_wherever_they_are_shown() -> None:
    """Tables, figures, cards and claims print a variant's label."""
    found = []
    for scale in ("small", "cifar"):
        dataset = read_dataset("digits").model_copy(update={"scale": scale, "training_overrides": {}})
        for name in set(variant_names(scale)) - {"common"}:
            variant = read_variant(dataset, name, {})
            assert METHODS[variant.method].supervised == ("(supervised)" in variant.label), name
            found += [variant.method] if METHODS[variant.method].supervised else []
    assert set(found) == set(CASES)
