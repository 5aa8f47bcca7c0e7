"""`authors: true`: each quirk of the official code is a switch of its own, and does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ddcl.base.errors import UserError
from ddcl.core.method import Batch
from ddcl.core.pretrain import Pretraining
from ddcl.plan.suite import Suite
from ddcl.schema.recipes import build_recipe, read_dataset
from ddcl.schema.registry import METHODS
from ddcl.schema.training import TrainingConfig
from ddcl.schema.variants import read_variant
from tests.contract.toy import ToyLoader, build_method, no_monitor, recipe_of

IMAGENET = read_dataset("imagenet100")


def both(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    fair, authors = (read_variant(IMAGENET, name, {}, quirks) for quirks in (False, True))
    settings = [METHODS[fair.method].settings.model_validate(variant.settings) for variant in (fair, authors)]
    filled = [v.model_copy(update={"settings": s.model_dump()}) for v, s in zip((fair, authors), settings, strict=True)]
    return filled[0].model_dump(), filled[1].model_dump()


def changed(fair: Any, authors: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """What differs between two nested values, by path."""
    if isinstance(fair, dict) and isinstance(authors, dict):
        found = {}
        for key in fair:
            found |= changed(fair[key], authors[key], f"{path}.{key}".lstrip("."))
        return found
    return {} if fair == authors else {path: (fair, authors)}


WARM_UP = {"training.schedule.extra_warmup_epochs": (0, 30), "training.precision": ("auto", "fp32")}


def test_the_switches_of_the_baseline() -> None:
    fair, authors = both("simsiam")
    assert changed(fair, authors) == WARM_UP | {"label": ("SimSiam", "SimSiam (as published)")}


@pytest.mark.parametrize("name", ["ddcl", "ddcl_preg"])
def test_the_switches_of_ddcl(name: str) -> None:
    """The 30 extra epochs, two GPUs' absolute values, and an encoder that starts otherwise than SimSiam's."""
    found = changed(*both(name))
    del found["label"]
    assert found == WARM_UP | {
        "settings.dvr_groups": (1, 2),
        "training.backbone.init": ("kaiming", "torch"),
        "training.backbone.zero_init_last": (True, False),
    }


def test_fair_methods_start_from_the_same_encoder_and_published_ones_do_not() -> None:
    small = {"backbone": {"blocks": [1, 1], "widths": [8, 16], "block": "basic"}}

    def encoder(variant: str, authors: bool) -> dict[str, torch.Tensor]:
        recipe = build_recipe(("imagenet100", variant, "baug"), 0, small, authors)
        return dict(build_method(recipe).encoder.state_dict())

    for authors in (False, True):
        ours, theirs = encoder("ddcl", authors), encoder("simsiam", authors)
        same = all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert same == (not authors)
    published = encoder("ddcl", True), encoder("simsiam", True)
    gammas = [float(weights["layer1.0.bn2.weight"].mean()) for weights in published]
    assert gammas == [1.0, 0.0]


def test_a_published_run_has_a_name_of_its_own() -> None:
    block = {"datasets": ["cifar10"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0]}
    common = {"suite": "t", "title": "t", "description": "t", "evaluations": ["knn"], "perturbations": ["none"]}
    suite = Suite(common | {"runs": [block, block | {"authors": True}]}, "t.yaml")
    assert list(suite.runs) == ["cifar10/ddcl/baug/seed0", "cifar10/ddcl_authors/baug/seed0"]
    assert suite.plan.labels["variant"] == {"ddcl": "DDCL", "ddcl_authors": "DDCL (as published)"}
    assert [run.authors for run in suite.plan.runs] == [False, True]


def test_a_variant_without_quirks_cannot_be_asked_for_them() -> None:
    with pytest.raises(UserError, match="has no section `authors`"):
        read_variant(read_dataset("digits"), "simsiam", {}, authors=True)


# --- the extra warm-up in the engine


class RecordingLoader(ToyLoader):
    """Remembers which epoch and which order were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int]] = []

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterator[Batch]:
        self.asked.append((epoch, order))
        return super().epoch(epoch, order, start)


def warmed(loader: ToyLoader, seed: int = 0) -> Pretraining:
    recipe = recipe_of("simsiam", seed)
    values = recipe.training.model_dump()
    values["schedule"]["extra_warmup_epochs"] = 3
    values["epochs"] = 4
    values["schedule"]["warmup_epochs"] = 0
    config = TrainingConfig.model_validate(values)
    return Pretraining(build_method(recipe), loader, no_monitor, config, ("r", "c"), seed)


def test_warm_up_comes_before_the_epochs_in_one_order_with_rates_of_its_own(tmp_path: Path) -> None:
    loader = RecordingLoader()
    run = warmed(loader)
    top = run.optimizer.param_groups[0]["top_lr"]  # type: ignore[union-attr]
    run.run(tmp_path)
    assert run.epoch == 7
    # every epoch has draws of its own; the order of the first main epoch serves the whole warm-up, as set_epoch is
    # not called there
    assert loader.asked == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 3)]
    rates = [row["lr"] for row in run.history[1:]]
    assert rates[:3] == pytest.approx([1e-9, 1e-9 + top / 3, 1e-9 + 2 * top / 3])
    assert rates[3:] == pytest.approx([top, 0.8535533905932737 * top, 0.5 * top, 0.14644660940672624 * top])


def test_the_warm_ups_optimiser_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first main step no momentum is left, and in warm-up the predictor's rate is not fixed."""
    run = warmed(ToyLoader())
    seen: list[tuple[int, int, set[float]]] = []
    step = Pretraining.train_step

    def watching(self: Pretraining, batch: Batch) -> object:
        assert self.optimizer is not None
        seen.append((len(seen) // 4, len(self.optimizer.state), {group["lr"] for group in self.optimizer.param_groups}))
        return step(self, batch)

    monkeypatch.setattr(Pretraining, "train_step", watching)
    run.run(tmp_path)
    states = {epoch: [n for e, n, _ in seen if e == epoch] for epoch in range(7)}
    assert states[0][0] == 0
    assert all(n > 0 for n in states[1] + states[2])
    assert states[3][0] == 0
    assert all(n > 0 for n in states[3][1:])
    assert [len(rates) for _, _, rates in seen[:12]] == [1] * 12
    assert len(seen[16][2]) == 2  # the second main epoch: the predictor stays at the top


@pytest.mark.parametrize("killed_in_epoch", [1, 3, 5])
def test_interrupted_in_either_phase_equals_uninterrupted(
    killed_in_epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = warmed(ToyLoader())
    whole.run(tmp_path / "whole")
    step, left = Pretraining.train_step, [4 * killed_in_epoch + 2]

    def killing(self: Pretraining, batch: Batch) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Pretraining, "train_step", killing)
    with pytest.raises(KeyboardInterrupt):
        warmed(ToyLoader()).run(tmp_path / "killed")
    monkeypatch.undo()
    resumed = warmed(ToyLoader())
    resumed.run(tmp_path / "killed")
    assert all(torch.equal(a, b) for a, b in zip(whole.method.parameters(), resumed.method.parameters(), strict=True))
