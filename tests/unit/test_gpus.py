"""Each job has a GPU of its own: tried without any."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ddcl.base.errors import UserError
from ddcl.core import gpus
from ddcl.core.gpus import take_free
from ddcl.verbs import _device

TAKE = """
import sys
from pathlib import Path
from ddcl.core.gpus import take_free
print(take_free(["a", "b"], Path(sys.argv[1]), poll_seconds=0.05), flush=True)
sys.stdin.read()
"""


def job(folder: Path) -> subprocess.Popen[str]:
    """Start a process that takes a GPU and holds it until its input is closed."""
    command = [sys.executable, "-c", TAKE, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def taken(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_three_jobs_on_two_gpus_the_third_waits_for_the_one_that_is_killed(tmp_path: Path) -> None:
    jobs = [job(tmp_path), job(tmp_path)]
    assert sorted(taken(process) for process in jobs) == ["0", "1"]
    third = job(tmp_path)
    try:
        assert third.stderr
        assert third.stderr.readline() == "waiting: all 2 GPUs are taken by other jobs\n"
        jobs[1].kill()
        jobs[1].wait()
        assert taken(third) in {"0", "1"}
    finally:
        for process in (*jobs, third):
            process.kill()
            process.communicate()


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
    assert take_free(["first"], tmp_path) == 0
    chosen = pretend(monkeypatch, ["second", "first", "third"], tmp_path)
    args = Namespace(threads=torch.get_num_threads(), device="auto")
    assert [_device(args), _device(args)] == ["cuda", "cuda"]
    assert chosen == [0, 2]


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
