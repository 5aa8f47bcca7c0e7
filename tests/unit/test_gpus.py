"""Each job has a GPU of its own, or a place on one: tried without any."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ddcl.base.errors import UserError
from ddcl.core import gpus
from ddcl.core.gpus import take
from ddcl.plan.gpu_places import VARIABLE
from ddcl.plan.job_cost import Meter
from ddcl.schema.recipes import build_recipe
from ddcl.verbs import _device

TAKE = """
import sys
from pathlib import Path
from ddcl.core.gpus import take
from ddcl.plan.gpu_places import VARIABLE
from ddcl.plan.job_cost import Meter
from ddcl.schema.recipes import build_recipe
print(take(["a", "b"], Path(sys.argv[1]), int(sys.argv[2]), poll_seconds=0.05), flush=True)
sys.stdin.read()
"""
Jobs = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Jobs]:
    """Starts processes that take a GPU, with so many places on it, and hold it until they are killed."""
    started = []

    def start(places: int = 1) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TAKE, str(tmp_path), str(places)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def taken(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def waits(process: subprocess.Popen[str]) -> bool:
    assert process.stderr
    return process.stderr.readline() == "waiting: other jobs are using all 2 GPUs\n"


def test_three_jobs_on_two_gpus_the_third_waits_for_the_one_that_is_killed(job: Jobs) -> None:
    jobs = [job(), job()]
    assert sorted(map(taken, jobs)) == ["0", "1"]
    third = job()
    assert waits(third)
    jobs[1].kill()
    assert taken(third) in {"0", "1"}


def test_small_jobs_that_start_at_once_share_every_gpu_equally(job: Jobs) -> None:
    jobs = [job(3) for _ in range(6)]
    gpus = [taken(process) for process in jobs]
    assert sorted(gpus) == ["0"] * 3 + ["1"] * 3
    seventh = job(3)
    assert waits(seventh)
    jobs[4].kill()
    assert taken(seventh) == gpus[4]


def test_a_small_job_goes_where_the_fewest_are(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    assert [take(names, tmp_path, 2) for _ in range(3)] == [0, 1, 2]
    assert take(["c", "d"], tmp_path, 2) == 1
    assert [take(names, tmp_path, 2) for _ in range(3)] == [0, 1, 2]


def test_a_large_job_waits_for_an_empty_gpu_and_no_small_one_overtakes_it(job: Jobs) -> None:
    small = [job(2), job(2)]
    gpus = [taken(process) for process in small]
    assert sorted(gpus) == ["0", "1"]
    large = job(1)
    assert waits(large)
    late = job(2)
    assert waits(late)
    small[0].kill()
    assert taken(large) == gpus[0]
    assert taken(late) == gpus[1]
    last = job(2)
    assert waits(last)  # two share one GPU, and the large one is alone on the other
    large.kill()
    assert taken(last) == gpus[0]


def pretend(monkeypatch: pytest.MonkeyPatch, uuids: list[str], folder: Path) -> list[int]:
    """Let torch see GPUs; return the list that chosen ones are added to."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(uuids))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=uuids[index]))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(folder))
    return chosen


def test_a_gpu_is_known_by_its_uuid_whatever_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert take(["first"], tmp_path / f"ddcl-gpus-{os.getuid()}") == 0
    chosen = pretend(monkeypatch, ["second", "first", "third"], tmp_path)
    args = Namespace(threads=torch.get_num_threads(), device="auto")
    assert [_device(args), _device(args)] == ["cuda", "cuda"]
    assert chosen == [0, 2]


def test_a_small_run_shares_a_gpu_where_the_user_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = pretend(monkeypatch, ["first", "second"], tmp_path)
    args = Namespace(threads=torch.get_num_threads(), device="auto")
    monkeypatch.setenv(VARIABLE, "2")
    small = build_recipe(("cifar10", "ddcl", "caug"), 0, {})
    large = build_recipe(("imagenet100", "ddcl", "caug"), 0, {})
    for recipe in (small, large, small):
        _device(args, Meter(), recipe)
    assert chosen == [0, 1, 0]


def test_one_gpu_and_ranks_of_torchrun_take_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = Namespace(threads=torch.get_num_threads(), device="cuda")
    assert pretend(monkeypatch, ["only"], tmp_path) == []
    assert _device(args) == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pretend(monkeypatch, ["one", "two"], tmp_path) == []
    assert _device(args) == "cuda"
    assert not list(tmp_path.iterdir())


def test_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(monkeypatch, [], tmp_path)
    for given, warned in [("", False), ("-1", False), ("0,1", True)]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert _device(Namespace(threads=torch.get_num_threads(), device="auto")) == "cpu"
        assert ("CUDA_VISIBLE_DEVICES=0,1, but torch finds no CUDA" in capsys.readouterr().err) == warned
    with pytest.raises(UserError, match="no CUDA device"):
        _device(Namespace(threads=torch.get_num_threads(), device="cuda"))
