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
from ddcl.core.checkpoint import state_digest, weights_digest
from ddcl.core.method import Batch, Method, Step
from ddcl.core.pretrain import Pretraining, Row
from ddcl.core.seeds import generator
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.registry import METHODS

TRAINED = [name for name, entry in METHODS.items() if entry.trains]
OVERRIDES = {
    "epochs": 6,
    "batch_size": 32,
    "checkpoint_epochs": 1,
    "monitor": {"every_epochs": 2},
    "backbone": {"widths": [8, 16, 32]},
}


def recipe_of(method: str, seed: int = 0) -> Recipe:
    """The digits recipe of the variant that has the method's name, made small."""
    augmentation = "baug" if METHODS[method].trains else "none"
    return build_recipe(("digits", method, augmentation), seed, OVERRIDES)


class ToyLoader:
    """Two noisy views of images of four kinds."""

    steps = 4

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterator[Batch]:
        rng = generator("toy", epoch)
        kinds = torch.randn(4, 3, 16, 16, generator=generator("kinds"))
        for step in range(self.steps):
            label = torch.randint(4, (32,), generator=rng)
            noise = 0.5 * torch.randn(2, 32, 3, 16, 16, generator=rng)
            if step >= start:
                yield Batch(kinds[label] + noise[0], kinds[label] + noise[1], label)


def no_monitor(method: Method) -> Row:
    return {"knn_top1": 0.5, "effective_rank": 10.0}


def training(method: str) -> Pretraining:
    recipe = recipe_of(method)
    return Pretraining(build_method(recipe), ToyLoader(), no_monitor, recipe.training, (recipe.digest, "code"), 0)


@pytest.mark.parametrize("name", METHODS)
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


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_weights_and_the_same_encoder_for_all_methods(name: str) -> None:
    first, again, other = (build_method(recipe_of(name, seed)) for seed in (0, 0, 1))
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
    assert weights_digest(first.encoder) == weights_digest(build_method(recipe_of("random_init")).encoder)


@pytest.mark.parametrize("name", METHODS)
def test_trains_says_the_same_in_registry_and_class(name: str) -> None:
    assert build_method(recipe_of(name)).trains == METHODS[name].trains


@pytest.mark.parametrize("name", METHODS)
def test_projections_are_of_the_methods_own_parts(name: str) -> None:
    method = build_method(recipe_of(name)).eval()
    found = method.projections(torch.randn(5, method.feature_dim, generator=generator("features")))
    assert set(found) <= set(METHODS[name].parts)
    assert bool(found) == METHODS[name].trains
    for prediction, projection in found.values():
        assert prediction.shape == projection.shape
        assert len(projection) == 5


@pytest.mark.parametrize("name", TRAINED)
def test_step_is_finite_and_gradient_reaches_encoder_and_heads(name: str) -> None:
    method = build_method(recipe_of(name)).train()
    # a perturbation, since with zero_init_last the residual branches get no gradient in the very first step
    for p in method.parameters():
        p.data += 0.01 * torch.randn(p.shape, generator=generator(p.shape))
    step = method.step(next(ToyLoader().epoch(0, 0)))
    assert step.loss.ndim == 0
    assert torch.isfinite(step.loss)
    assert set(step.embeddings) <= set(METHODS[name].parts)
    step.loss.backward()
    for child_name, child in method.named_children():
        grads = [p.grad for p in child.parameters() if p.requires_grad]
        assert all(g is not None and torch.isfinite(g).all() for g in grads), child_name
        assert any(g.abs().max() > 0 for g in grads if g is not None), f"no gradient in {child_name}"


@pytest.mark.parametrize("name", TRAINED)
def test_only_embeddings_that_there_are_may_collapse_and_never_all(name: str) -> None:
    method = build_method(recipe_of(name))
    assert set(method.may_collapse()) < set(method.step(next(ToyLoader().epoch(0, 0))).embeddings)


def test_dvr_may_collapse_and_nothing_else() -> None:
    found = {name: list(build_method(recipe_of(name)).may_collapse()) for name in TRAINED}
    assert {name: free for name, free in found.items() if free} == {"ddcl": ["dvr"], "ddcl_sym": ["dvr"]}


@pytest.mark.parametrize("name", TRAINED)
def test_loss_falls_on_toy_data(name: str, tmp_path: Path) -> None:
    run = training(name)
    run.run(tmp_path)
    losses = [row["loss"] for row in run.history[1:]]
    assert run.status in ("ok", "collapsed")
    assert losses[-1] < losses[0]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("by", ["a kill", "a signal"])
@pytest.mark.parametrize("name", TRAINED)
def test_interrupted_and_resumed_equals_uninterrupted(
    name: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the fourth epoch: a kill costs the steps since the last saved state, a signal none."""
    whole = training(name)
    whole.run(tmp_path / "whole")

    step = Pretraining.train_step
    done: list[Batch] = []

    def interrupted_step(self: Pretraining, batch: Batch) -> Step:
        done.append(batch)
        if len(done) == 14:
            if by == "a kill":
                raise KilledError
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)

    monkeypatch.setattr(Pretraining, "train_step", interrupted_step)
    with pytest.raises(KilledError if by == "a kill" else TemporaryError):
        training(name).run(tmp_path / "interrupted")
    assert len(done) == 14
    resumed = training(name)
    resumed.run(tmp_path / "interrupted")

    assert len(done) == 6 * 4 + (2 if by == "a kill" else 0)
    assert state_digest(dict(resumed.method.state_dict())) == state_digest(dict(whole.method.state_dict()))
    assert [{**row, "seconds": 0} for row in resumed.history] == [{**row, "seconds": 0} for row in whole.history]


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
    Pretraining(method, ToyLoader(), no_monitor, recipe.training, (recipe.digest, "code"), 0).run(tmp_path)
    assert before
    assert all(torch.equal(a, b) for a, b in zip(before, (p for head in heads for p in head.parameters()), strict=True))
    assert any(p.grad is not None for p in method.encoder.parameters())
