"""What every registered method must do, on toy data, on a CPU, in seconds."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from ddcl.base.errors import TemporaryError
from ddcl.build import build_method
from ddcl.core.checkpoint import weights_digest
from ddcl.core.method import Batch
from ddcl.core.pretrain import Pretraining
from ddcl.core.seeds import generator
from ddcl.schema.recipes import build_recipe
from ddcl.schema.registry import METHODS
from tests.contract.checks import check_frozen, check_resumed, check_step
from tests.contract.toy import NAMED, OVERRIDES, TRAINED, ToyLoader, batch_for, recipe_of, train, training


@pytest.mark.parametrize("name", NAMED)
def test_parts_tile_the_features(name: str) -> None:
    method = build_method(recipe_of(name))
    parts = method.parts()
    assert tuple(parts) == METHODS[name].parts
    assert parts.pop("full") == (0, method.feature_dim)
    edges = sorted(parts.values())
    if edges:
        assert edges[0][0] == 0
        assert edges[-1][1] == method.feature_dim
        assert all(a[1] == b[0] for a, b in pairwise(edges))


@pytest.mark.parametrize("name", NAMED)
def test_same_seed_same_weights_and_the_same_encoder_for_all_methods(name: str) -> None:
    first, again, other = (build_method(recipe_of(name, seed)) for seed in (0, 0, 1))
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
    assert weights_digest(first.encoder) == weights_digest(build_method(recipe_of("random_init")).encoder)


@pytest.mark.parametrize("name", NAMED)
def test_trains_says_the_same_in_registry_and_class(name: str) -> None:
    assert build_method(recipe_of(name)).trains == METHODS[name].trains


@pytest.mark.parametrize("name", NAMED)
def test_projections_are_of_the_methods_own_parts(name: str) -> None:
    method = build_method(recipe_of(name)).eval()
    found = method.projections(torch.randn(5, method.feature_dim, generator=generator("features")))
    assert set(found) <= set(METHODS[name].parts)
    assert METHODS[name].supervised or bool(found) == METHODS[name].trains
    for prediction, projection in found.values():
        assert prediction.shape == projection.shape
        assert len(projection) == 5


@pytest.mark.parametrize("name", NAMED)
def test_supervised_says_the_same_in_registry_and_class(name: str) -> None:
    assert build_method(recipe_of(name)).supervised == METHODS[name].supervised


@pytest.mark.parametrize("name", TRAINED)
def test_step_is_finite_and_gradient_reaches_encoder_and_heads(name: str) -> None:
    recipe = recipe_of(name)
    method = build_method(recipe)
    check_step(method, batch_for(method, recipe))


@pytest.mark.parametrize("name", TRAINED)
def test_frozen_modules_are_saved_and_are_all_that_after_step_changes(name: str) -> None:
    check_frozen(build_method(recipe_of(name)))


def test_ddcl_tells_collapse_by_dir() -> None:
    assert {name: list(build_method(recipe_of(name)).tells_collapse()) for name in ("ddcl", "ddcl_sym", "simsiam")} == {
        "ddcl": ["dir"],
        "ddcl_sym": ["dir"],
        "simsiam": ["full"],
    }


@pytest.mark.parametrize("name", TRAINED)
def test_loss_falls_on_toy_data(name: str, tmp_path: Path) -> None:
    run = training(name)
    run.run(tmp_path)
    losses = [row["loss"] for row in run.history[1:]]
    assert run.status in ("ok", "collapsed")
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("by", ["a kill", "a signal"])
@pytest.mark.parametrize("name", TRAINED)
def test_interrupted_and_resumed_equals_uninterrupted(
    name: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed(lambda: training(name), by, tmp_path, monkeypatch)


def test_a_method_that_draws_for_itself_is_resumed_exactly_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    """Dropout draws from torch's global generator, which nobody else may touch in between."""

    def dropping() -> Pretraining:
        run = training("simsiam")
        run.method.encoder = nn.Sequential(run.method.encoder, nn.Dropout(0.5))
        return run

    whole, other = dropping(), training("simsiam")
    whole.run(tmp_path / "whole")
    other.run(tmp_path / "other")
    assert weights_digest(whole.method) != weights_digest(other.method)

    first = dropping()
    first.loader = Signalling(after=9)
    with pytest.raises(TemporaryError):
        first.run(tmp_path / "interrupted")
    assert (first.epoch, first.step) == (2, 2)
    torch.randn(100)
    resumed = dropping()
    resumed.run(tmp_path / "interrupted")
    assert weights_digest(resumed.method) == weights_digest(whole.method)


class Signalling(ToyLoader):
    """Raises SIGUSR1 before it yields batch `after`, counted from 0 over all epochs."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterator[Batch]:
        for batch in super().epoch(epoch, order, start):
            if self.left == 0:
                signal.raise_signal(signal.SIGUSR1)
            self.left -= 1
            yield batch


@pytest.mark.parametrize("name", ["ddcl_w0", "ddcl_sym_w0"])
def test_heads_of_which_no_loss_asks_anything_stay_as_they_begin(name: str, tmp_path: Path) -> None:
    """Adam's weight decay alone shrinks them to nothing, and then the control's cosines would be 0."""
    recipe = build_recipe(("digits", name, "baug"), 0, OVERRIDES)
    method = build_method(recipe)
    heads = [head for label, head in method.named_children() if label.endswith("_dvr")]
    before = [p.clone() for head in heads for p in head.parameters()]
    train(method, recipe).run(tmp_path)
    assert before
    assert all(torch.equal(a, b) for a, b in zip(before, (p for head in heads for p in head.parameters()), strict=True))
    assert any(p.grad is not None for p in method.encoder.parameters())
