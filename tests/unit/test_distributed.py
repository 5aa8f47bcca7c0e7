"""Two processes with half of the batch each compute what one computes of the whole: loss, gradients, statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ddcl.base.errors import UserError
from ddcl.build import build_method
from ddcl.core import distributed
from ddcl.core.checkpoint import state_digest
from ddcl.core.method import Batch, Method, Step
from ddcl.core.pretrain import Pretraining
from ddcl.core.seeds import generator
from ddcl.data.loader import epoch_requests
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.training import TrainingConfig
from tests.contract.test_extras import ALL, Asking
from tests.contract.test_teachers import Taught, made
from tests.contract.toy import OVERRIDES, TRAINED, ToyLoader, loader_for, no_monitor, recipe_of

TEACHER = "simsiam with a teacher"
ASKING = "simsiam that asks for more"
# Every method, the official code's loss on DVR, whose absolute value is taken per GPU, a method with a teacher, and one
# with more than two views.
CASES = [*TRAINED, "ddcl as published", TEACHER, ASKING]
LONG = ["ddcl_sym", TEACHER, ASKING]
OWN = {TEACHER: Taught, ASKING: Asking}


def recipe_for(case: str) -> Recipe:
    groups = {"dvr_groups": 2} if case == "ddcl as published" else {}
    recipe = build_recipe(("digits", case.split()[0], "baug"), 0, OVERRIDES)
    extras = ALL if case == ASKING else recipe.extras
    return recipe.model_copy(update={"settings": recipe.settings | groups, "extras": extras})


def method_of(case: str) -> Method:
    """In float64, with scales and shifts of BatchNorm that are not 1 and 0."""
    method = (made(OWN[case]) if case in OWN else build_method(recipe_for(case))).double().train()
    for p in method.parameters():
        p.data += 0.05 * torch.randn(p.shape, generator=generator(p.shape)).double()
    return method


def half(batch: Batch) -> Batch:
    """This process's share, as a loader would give it."""
    rank, n = distributed.rank(), len(batch.x1) // distributed.processes()
    own = slice(rank * n, (rank + 1) * n)
    return Batch(batch.x1[own], batch.x2[own], None if batch.labels is None else batch.labels[own])


def cast(batch: Batch, dtype: torch.dtype = torch.float64) -> Batch:
    """The same batch in another type."""
    images = {name: x.to(dtype) for name in ("x0", "x1", "x2", "x3") if (x := getattr(batch, name)) is not None}
    drawn = tuple(
        {op: {key: p.to(dtype) if p.is_floating_point() else p for key, p in own.items()} for op, own in view.items()}
        for view in batch.drawn
    )
    return replace(batch, **images, drawn=drawn)


class SharedLoader:
    """The toy loader of a method, in float64, of which each process has its share."""

    def __init__(self, method: Method, recipe: Recipe) -> None:
        self.loader = loader_for(method, recipe)

    @property
    def steps(self) -> int:
        return self.loader.steps

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterator[Batch]:
        batches = self.loader.epoch(epoch, order, start)  # a real loader gives each process its share
        yield from map(cast, map(half, batches) if isinstance(self.loader, ToyLoader) else batches)


def computed(case: str) -> dict[str, Any]:
    """Loss, gradients, BatchNorm's memory after one step, and what a step says of the whole batch."""
    method = method_of(case)
    do_step = distributed.data_parallel(method)  # kept, as DDP averages gradients while it lives
    step: Step = do_step(next(SharedLoader(method, recipe_for(case)).epoch(0, 0)))
    step.loss.backward()  # type: ignore[no-untyped-call]
    return {
        "loss": distributed.mean(step.loss.detach()),
        "terms": {name: distributed.mean(value.detach()) for name, value in step.terms.items()},
        "embeddings": {name: distributed.rows(z) for name, z in step.embeddings.items()},
        "gradients": {name: p.grad for name, p in method.named_parameters() if p.grad is not None},
        "buffers": dict(method.named_buffers()),
    }


def rounded(case: str) -> dict[str, Any]:
    """Loss and BatchNorm's memory after one step in bf16, as a CPU or GPU with such units trains."""
    method = method_of(case).float()
    do_step = distributed.data_parallel(method)
    batch = cast(next(SharedLoader(method, recipe_for(case)).epoch(0, 0)), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        step = do_step(batch)
    step.loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": distributed.mean(step.loss.detach().double()), "buffers": dict(method.named_buffers())}


def trained(case: str, work: Path) -> dict[str, Any]:
    """Two epochs by the engine."""
    recipe, method = recipe_for(case), method_of(case)
    config = recipe.training.model_copy(update={"epochs": 2, "precision": "fp32"})
    run = Pretraining(method, SharedLoader(method, recipe), no_monitor, config, ("r", "c"), 0)
    run.run(work, checkpoint_minutes=0)
    history = [{name: torch.tensor(value) for name, value in row.items() if name != "seconds"} for row in run.history]
    return {
        "history": history,
        "weights": dict(run.method.state_dict()),
        "files": sorted(p.name for p in work.glob("*")),
    }


def process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {case: computed(case) for case in CASES}
    found |= {f"{case} trained": trained(case, folder / f"{case} {rank}") for case in LONG}
    found |= {f"{case} in bf16": rounded(case) for case in CASES}
    found["first"] = distributed.from_first(lambda: f"from {rank}")
    found["largest"] = distributed.largest(rank)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("two")
    mp.spawn(process, (folder,), nprocs=2)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_loss_gradients_and_statistics_are_those_of_one_process_with_the_whole_batch(
    case: str, rank: int, two: list[dict[str, Any]]
) -> None:
    one = computed(case)
    torch.testing.assert_close(two[rank][case], one, rtol=1e-9, atol=1e-12)
    assert len(one["gradients"]) > 10
    assert max(float(g.abs().max()) for g in one["gradients"].values()) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_in_bf16_too(case: str, two: list[dict[str, Any]]) -> None:
    torch.testing.assert_close(two[0][f"{case} in bf16"], rounded(case), rtol=0.05, atol=0.02)


def test_without_the_sum_over_processes_the_gradient_would_be_another(two: list[dict[str, Any]]) -> None:
    """The control: each process by itself, gradients averaged, is not the same."""
    one = method_of("barlow_twins")
    batch = next(ToyLoader().epoch(0, 0))
    for rows in (slice(16), slice(16, None)):
        (one.step(Batch(batch.x1[rows].double(), batch.x2[rows].double())).loss / 2).backward()  # type: ignore[no-untyped-call]
    right = two[0]["barlow_twins"]["gradients"]["encoder.conv1.weight"]
    wrong = one.encoder.conv1.weight.grad  # type: ignore[union-attr]
    assert not torch.allclose(wrong, right, rtol=0.05)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", LONG)
def test_training_by_the_engine_is_the_same_and_only_process_0_writes(
    case: str, two: list[dict[str, Any]], tmp_path: Path
) -> None:
    one = trained(case, tmp_path)
    own, other = (found[f"{case} trained"] for found in two)
    for found in (own, other):
        for part in ("history", "weights"):
            torch.testing.assert_close(found[part], one[part], rtol=1e-6, atol=1e-8)
    assert state_digest(own["weights"]) == state_digest(other["weights"])  # teachers included, bit for bit
    assert own["files"] == ["resume.previous.pt", "resume.pt"]
    assert other["files"] == []


def test_what_one_process_knows_all_know(two: list[dict[str, Any]]) -> None:
    assert [found["first"] for found in two] == ["from 0", "from 0"]
    assert [found["largest"] for found in two] == [1, 1]


def test_the_shares_of_a_batch_make_up_the_batch_with_the_same_draws() -> None:
    for request in epoch_requests(100, 12, ("d", 0), (3, 3), n_views=2):
        shares = [request.share(rank, 3) for rank in range(3)]
        assert torch.equal(torch.cat([own.index for own in shares]), request.index)
        for view in range(2):
            drawn = torch.cat([own.draws[view].uniform("op", 4) for own in shares])
            assert torch.equal(drawn, request.draws[view].uniform("op", 4))


def test_a_batch_that_cannot_be_shared_equally_is_refused() -> None:
    values = recipe_of("ddcl").training.model_dump()
    with pytest.raises(ValueError, match="batch_size 32 cannot be shared equally by 3 processes"):
        TrainingConfig.model_validate(values | {"processes": 3})


def test_another_number_of_processes_than_the_recipes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with (
        pytest.raises(UserError, match=r"training\.processes is 2, but torchrun started 4"),
        distributed.joined(2, "cpu"),
    ):
        pass


def test_one_process_asks_nobody() -> None:
    x = torch.randn(3)
    assert distributed.total(x) is x
    assert distributed.mean(x) is x
    assert not dist.is_initialized()


def test_a_recipe_of_several_processes_becomes_torchrun_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, arguments: started.append(arguments))
    monkeypatch.setattr("sys.argv", ["ddcl", "pretrain", "--run", "r"])
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    distributed.relaunch(1)
    assert started == []
    distributed.relaunch(3)
    assert started[0][1:3] == ["-m", "torch.distributed.run"]
    assert "--nproc-per-node=3" in started[0]
    assert started[0][-5:] == ["--", "ddcl", "pretrain", "--run", "r"]
    monkeypatch.setenv("WORLD_SIZE", "3")
    distributed.relaunch(3)
    assert len(started) == 1
