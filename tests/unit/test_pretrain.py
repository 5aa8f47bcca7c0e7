"""How a run ends, and what it does with states it finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ddcl.build import build_method
from ddcl.core.losses import effective_rank
from ddcl.core.method import Batch, Method, Step
from ddcl.core.pretrain import Pretraining, Row
from ddcl.schema import history
from ddcl.schema.history import History
from ddcl.schema.recipes import build_recipe
from ddcl.training import _finished, _write
from tests.contract.toy import ToyLoader, no_monitor, recipe_of, training

ONE_EPOCH = {"precision": "fp32", "epochs": 1, "schedule": {"warmup_epochs": 0}}


class Toy(Method):
    """Minimises a term chosen by the test, of a linear encoder."""

    def __init__(self, scale: float) -> None:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8, bias=False))
        super().__init__(encoder, 8, recipe_of("random_init").training)
        self.scale = scale

    def step(self, batch: Batch) -> Step:
        z: Tensor = self.encoder(batch.x1)
        return Step(self.scale * z.square().mean(), embeddings={"full": z})


def run_toy(scale: float, monitor: object, work: Path) -> Pretraining:
    config = recipe_of("simsiam").training
    run = Pretraining(Toy(scale), ToyLoader(), monitor, config, ("r", "c"), 0)  # type: ignore[arg-type]
    run.run(work)
    return run


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(tmp_path: Path) -> None:
    run = run_toy(float("nan"), no_monitor, tmp_path)
    assert run.status == "diverged"
    assert "nan in epoch 1" in run.message
    assert run.epoch == 1
    assert len(run.history) == 2


def test_weights_that_are_not_finite_after_a_finite_loss_are_divergence_too(tmp_path: Path) -> None:
    def monitor(method: Method) -> Row:
        assert all(torch.isfinite(p).all() for p in method.parameters()), "must not be reached"
        return no_monitor(method)

    run = run_toy(float("inf"), monitor, tmp_path / "loss")
    assert run.status == "diverged"
    toy = Toy(1.0)
    toy.after_step = lambda progress: toy.encoder[1].weight.data.fill_(float("inf"))  # type: ignore[operator, index, method-assign]
    config = recipe_of("simsiam").training
    loader = ToyLoader()
    loader.steps = 1
    run = Pretraining(toy, loader, monitor, config, ("r", "c"), 0)
    run.run(tmp_path / "weights")
    assert (run.status, run.epoch) == ("diverged", 1)
    assert "weights became" in run.message


def test_a_low_effective_rank_ends_the_run_as_collapsed(tmp_path: Path) -> None:
    def monitor(method: Method) -> Row:
        constant = torch.ones(50, 8) + 1e-3 * torch.randn(50, 1)
        return {"knn_top1": 0.1, "effective_rank": float(effective_rank(constant))}

    run = run_toy(1.0, monitor, tmp_path)
    assert run.status == "collapsed"
    assert "effective rank" in run.message


class HalfConstant(Toy):
    """Of its two embeddings the second is the same for all images; the test says whether that matters."""

    def __init__(self, telling: tuple[str, ...]) -> None:
        super().__init__(0.0)
        self.telling = telling

    def step(self, batch: Batch) -> Step:
        z: Tensor = self.encoder(batch.x1)
        return Step(0.0 * z.sum(), embeddings={"alive": z, "constant": torch.ones_like(z)})

    def tells_collapse(self) -> tuple[str, ...]:
        return self.telling


BOTH = ("alive", "constant")


@pytest.mark.parametrize(("telling", "status"), [(BOTH, "collapsed"), (("constant",), "collapsed"), (("alive",), "ok")])
def test_the_method_says_which_embeddings_tell_collapse(telling: tuple[str, ...], status: str, tmp_path: Path) -> None:
    run = Pretraining(HalfConstant(telling), ToyLoader(), no_monitor, recipe_of("simsiam").training, ("r", "c"), 0)
    run.run(tmp_path)
    assert run.status == status
    assert run.message.startswith("std ratio of constant ") == (status == "collapsed")
    assert {"std_ratio_alive", "std_ratio_constant"} <= run.history[-1].keys()  # measured all the same


def test_a_healthy_run_is_ok_and_monitored_at_the_configured_epochs(tmp_path: Path) -> None:
    run = training("simsiam")
    run.run(tmp_path)
    assert run.status == "ok"
    assert [row["epoch"] for row in run.history] == list(range(7))
    assert [row["epoch"] for row in run.history if "knn_top1" in row] == [0, 2, 4, 6]
    assert all({"loss", "lr", "std_ratio_full", "effective_rank_full"} <= row.keys() for row in run.history[1:])
    assert all(0 < row["std_ratio_full"] <= 1.1 and 1 <= row["effective_rank_full"] <= 32 for row in run.history[1:])


def test_monitoring_does_not_change_training(tmp_path: Path) -> None:
    """The monitor switches to evaluation mode; training must go on in training mode."""
    often, never = training("simsiam"), training("simsiam")
    often.monitor = lambda method: (method.eval(), no_monitor(method))[1]
    often.run(tmp_path / "a")
    never.run(tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(often.method.parameters(), never.method.parameters(), strict=True))


def test_a_finished_run_is_known_by_its_run_json_and_by_whole_files_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = build_recipe(("digits", "simsiam", "caug"), 0, ONE_EPOCH)
    identity = [recipe.digest, "code", "seal of the data"]
    run = Pretraining(build_method(recipe), ToyLoader(), no_monitor, recipe.training, identity, 0)
    run.run(tmp_path / "work")
    finished = tmp_path / "finished"
    summary = _write(run, recipe, finished)
    assert (summary.run.name, summary.status, summary.epochs) == (recipe.name, run.status, 1)
    assert summary.manifest_seal == "seal of the data"
    assert history.read(finished / "history.csv") == History.of(run.history)
    assert _finished(finished, identity) == summary
    assert "is already finished" in capsys.readouterr().out
    for place, value in enumerate(identity):
        assert _finished(finished, [*identity[:place], f"another {value}", *identity[place + 1 :]]) is None
    for name in ("history.csv", "checkpoint.pt", "run.json"):
        whole = (finished / name).read_bytes()
        (finished / name).write_bytes(whole[:-1])
        assert _finished(finished, identity) is None
        (finished / name).unlink()  # as if it had been killed before it was written
        assert _finished(finished, identity) is None
        (finished / name).write_bytes(whole)
    assert _finished(finished, identity) == summary


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling needs a C++ compiler")
def test_a_compiled_encoder_trains_as_the_plain_one(tmp_path: Path) -> None:
    """The same weights but for rounding, under the same names; the monitor, too, sees the same features."""
    runs = []
    for compiled in (False, True):
        recipe = build_recipe(("digits", "simsiam", "baug"), 0, ONE_EPOCH | {"compile": compiled})
        features: list[Tensor] = []

        def monitor(method: Method, features: list[Tensor] = features) -> Row:
            method.eval()
            with torch.no_grad():
                features.append(method.features(torch.ones(3, 3, 16, 16)))
            return no_monitor(method)

        run = Pretraining(build_method(recipe), ToyLoader(), monitor, recipe.training, ("r", "c"), 0)
        run.run(tmp_path / str(compiled))
        runs.append((run.method.state_dict(), features))
    (plain, seen), (compiled_state, also_seen) = runs
    assert list(plain) == list(compiled_state)
    for name, value in plain.items():
        torch.testing.assert_close(compiled_state[name].float(), value.float(), rtol=5e-2, atol=1e-2)
    for one, other in zip(seen, also_seen, strict=True):
        torch.testing.assert_close(other, one, rtol=5e-2, atol=1e-2)
