"""What jobs say that they cost, and that saying it changes nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ddcl import verbs
from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.plan.addresses import cost_path, log_path, results_of, run_folder
from ddcl.plan.job_cost import Meter, only_warned, read_costs
from tests.unit.made_run import recipe_of

RECIPE = recipe_of()
DIGEST = "1f" * 8


def test_a_cost_lies_where_the_log_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_folder(RECIPE)
    places = {cost_path(RECIPE, "pretrain"): log_path(run, "pretrain")}
    places[cost_path(RECIPE, "knn", "digits", DIGEST)] = log_path(run, f"knn-{DIGEST[:8]}", "digits")
    for cost, log in places.items():
        assert cost.removeprefix("costs").removesuffix(".json") == log.removeprefix("logs").removesuffix(".log")
    assert results_of(tmp_path / run, RECIPE) == tmp_path
    (tmp_path / run).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / run)
    assert results_of(Path(), RECIPE) == tmp_path
    assert results_of(tmp_path / "elsewhere", RECIPE) is None
    assert results_of(Path("/"), RECIPE) is None


def test_a_meter_counts_its_own_time_and_not_the_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 104.0, 110.0, 170.0, 230.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    meter = Meter()
    meter.started()
    with meter.waiting():
        pass
    meter.write(RECIPE, tmp_path / run_folder(RECIPE), ("features", "digits", DIGEST), (300, 66.0))
    (cost,) = read_costs(tmp_path)
    assert (cost.start_seconds, cost.seconds, cost.images, cost.images_seconds) == (4.0, 70.0, 300, 66.0)
    assert (cost.stage, cost.eval_dataset, cost.digest, cost.device) == ("features", "digits", DIGEST, "cpu")
    assert cost.network == "ResNet basic 1-1-1, widths 16-32-128 @ 16, 0.002611 GFLOPs, fp32"
    write_text(tmp_path / cost_path(RECIPE, "pretrain"), "{")
    assert read_costs(tmp_path) == [cost]  # what cannot be read does not count


def test_an_evaluation_that_was_resumed_does_not_say_what_it_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / run_folder(RECIPE)
    state, record = tmp_path / "state.pt", (run / "record.json", DIGEST)
    run.mkdir(parents=True)
    entry, evaluation = SimpleNamespace(metrics_of=lambda _: []), SimpleNamespace(settings={})
    job = SimpleNamespace(record=record, dataset="digits", state=state, entry=entry, evaluation=evaluation)
    for name, value in {"_run": run, "_recipe": RECIPE, "_evaluation_job": job, "_print_cells": None}.items():
        monkeypatch.setattr(verbs, name, lambda *_, value=value: value)
    monkeypatch.setattr("ddcl.evaluate.record.evaluate_run", lambda _: SimpleNamespace(digest=DIGEST))
    state.touch()
    verbs.evaluate(Namespace(evaluation="finetune"))
    assert read_costs(tmp_path) == []
    state.unlink()
    verbs.evaluate(Namespace(evaluation="finetune"))
    assert [cost.stage for cost in read_costs(tmp_path)] == ["finetune"]


MEASURE = """
import sys
from pathlib import Path
from ddcl.plan.job_cost import Meter, _peak_mb
held = bytearray(64 << 20)
meter = Meter()
sum(range(3_000_000))
print(_peak_mb(), meter.seconds)
"""


def test_the_memory_is_that_of_the_job_and_not_of_what_started_it() -> None:
    ours = bytearray(700 << 20)
    ours[::4096] = bytes(len(ours[::4096]))
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    peak_mb, seconds = map(float, done.stdout.split())
    assert 64 < peak_mb < 400
    assert 0 < seconds < 60


def test_a_cost_that_cannot_be_written_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "costs").write_text("no folder")
    folder = tmp_path / run_folder(RECIPE)
    with pytest.raises(UserError, match="cannot be written"):
        Meter().write(RECIPE, folder, ("pretrain", "", ""))
    with only_warned():
        Meter().write(RECIPE, folder, ("pretrain", "", ""))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ddcl: warning: the cost of this job was not stored: {tmp_path / 'costs'}")
    Meter().write(RECIPE, tmp_path / "a run that was moved", ("pretrain", "", ""))
    assert read_costs(tmp_path) == []
