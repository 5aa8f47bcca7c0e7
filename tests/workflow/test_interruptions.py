"""Commands that are interrupted, meet each other, or find no room: what they say, and what comes out in the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ddcl.base.files import write_json
from ddcl.core.checkpoint import load_checkpoint
from ddcl.evaluate.verify import verify_run
from ddcl.plan.addresses import run_folder
from ddcl.plan.job_cost import read_costs
from ddcl.schema import run_summary
from ddcl.schema.recipes import build_recipe
from tests.workflow.commands import ROOT, ddcl, run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits prepared."""
    cwd = tmp_path_factory.mktemp("prepared")
    assert ddcl("prepare", "digits", cwd=cwd).returncode == 0
    return cwd


def new_run(cwd: Path, name: str, epochs: int = 3, processes: int = 1) -> Path:
    """Write the recipe of a short run below a folder `name`; the same recipe for all of them."""
    values = {
        "epochs": epochs,
        "schedule": {"warmup_epochs": 0},
        "processes": processes,
        "monitor": {"every_epochs": 2},
    }
    recipe = build_recipe(("digits", "ddcl_sym", "caug"), 0, values)
    folder = cwd / name / run_folder(recipe)
    write_json(folder / "config.json", recipe.model_dump())
    return folder


def start(cwd: Path, folder: Path) -> subprocess.Popen[str]:
    """Start training the run, with the state saved after every step."""
    return subprocess.Popen(
        [sys.executable, "-m", "ddcl", "pretrain", "--run", str(folder), "--checkpoint-minutes", "0"],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_a_state(process: subprocess.Popen[str], folder: Path) -> None:
    state = folder / "work" / "resume.pt"
    before = state.stat().st_mtime_ns if state.exists() else 0
    while not state.exists() or state.stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def fill(path: Path, process: subprocess.Popen[str]) -> None:
    """Take whatever room there is, or becomes free, until the process has ended."""
    with open(path, "ab", buffering=0) as handle:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                handle.write(bytes(1 << 16))


def step_of(folder: Path) -> tuple[int, int]:
    state = load_checkpoint(folder / "work" / "resume.pt")[0]
    return state["epoch"], state["step"]


def digest(folder: Path) -> str:
    return load_checkpoint(folder / "checkpoint.pt")[1]


@pytest.mark.slow
def test_a_signal_gives_status_75_and_the_next_start_goes_on_at_that_step_and_a_second_process_is_refused(
    prepared: Path,
) -> None:
    folder = new_run(prepared, "stopped")
    process = start(prepared, folder)
    wait_for_a_state(process, folder)
    refused = ddcl("pretrain", "--run", str(folder), cwd=prepared)
    assert refused.returncode == 75
    assert f"process {process.pid} on " in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert process.returncode == 75
    assert "ddcl: interrupted by SIGTERM; the state is saved in " in error
    assert "Traceback" not in error
    epoch, step = step_of(folder)
    assert read_costs(prepared / "stopped") == []
    done = ddcl("pretrain", "--run", str(folder), cwd=prepared)
    assert done.returncode == 0, done.stderr
    assert f"after {epoch} epochs and {step} steps" in done.stdout
    (cost,) = read_costs(prepared / "stopped")
    summary = run_summary.load(folder / run_summary.FILE)
    assert (cost.images, cost.images_seconds) == (3 * 898, summary.seconds)  # of both jobs


@pytest.mark.slow
def test_stopped_and_killed_many_times_the_checkpoint_is_that_of_a_run_without_a_break(prepared: Path) -> None:
    whole, broken = new_run(prepared, "whole", 4), new_run(prepared, "broken", 4)
    assert ddcl("pretrain", "--run", str(whole), cwd=prepared).returncode == 0
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGKILL, signal.SIGINT):
        process = start(prepared, broken)
        wait_for_a_state(process, broken)
        process.send_signal(number)
        process.communicate()
        assert process.returncode == (-9 if number == signal.SIGKILL else 75)
    assert ddcl("pretrain", "--run", str(broken), cwd=prepared).returncode == 0
    assert digest(broken) == digest(whole)


@pytest.mark.slow
def test_outputs_that_snakemake_deleted_are_not_trained_again(prepared: Path) -> None:
    folder = new_run(prepared, "deleted", 1)
    assert ddcl("pretrain", "--run", str(folder), cwd=prepared).returncode == 0
    before = {name: (folder / name).read_bytes() for name in ("checkpoint.pt", "history.csv", "run.json")}
    costs = read_costs(prepared / "deleted")
    for name in before:
        (folder / name).unlink()
    done = ddcl("pretrain", "--run", str(folder), cwd=prepared)
    assert "is already finished" in done.stdout
    assert read_costs(prepared / "deleted") == costs  # nothing was trained, so nothing is said
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert verify_run(folder) == []
    path = folder / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000])  # damages the other name of the file too: trained again
    assert ddcl("pretrain", "--run", str(folder), cwd=prepared).returncode == 0
    assert load_checkpoint(path)[0]["status"] in ("ok", "collapsed")


@pytest.mark.slow
def test_two_processes_stopped_and_started_again_give_the_same_checkpoint(prepared: Path) -> None:
    """torchrun, SIGTERM to it, torchrun again; and the death of one of the two."""
    whole, broken = new_run(prepared, "two", 2, processes=2), new_run(prepared, "two_broken", 2, processes=2)
    done = ddcl("pretrain", "--run", str(whole), cwd=prepared)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok after 2 epochs") == 1
    for target in ("torchrun", "one process"):
        process = start(prepared, broken)
        wait_for_a_state(process, broken)
        children = run("pgrep", "-P", str(process.pid), cwd=prepared).stdout.split()
        assert len(children) == 2
        if target == "torchrun":
            process.send_signal(signal.SIGTERM)
        else:
            os.kill(int(children[1]), signal.SIGKILL)
        _, error = process.communicate()
        assert process.returncode == 1
        assert "interrupted by SIGTERM" in error or target == "one process"
    done = ddcl("pretrain", "--run", str(broken), cwd=prepared)
    assert "resumed" in done.stdout
    assert digest(broken) == digest(whole)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_a_disk_that_fills_up_while_a_state_is_saved_costs_that_state_only(prepared: Path) -> None:
    whole, small = new_run(prepared, "roomy"), prepared / "small"
    assert ddcl("pretrain", "--run", str(whole), cwd=prepared).returncode == 0
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    folder = new_run(prepared, "small/run")
    process = start(prepared, folder)
    try:
        wait_for_a_state(process, folder)
        filler = small / "filler"
        fill(filler, process)
        _, error = process.communicate()
        assert process.returncode == 2
        assert "the disk is full" in error
        assert not list(folder.rglob(".*.tmp*"))
        filler.unlink()
        done = ddcl("pretrain", "--run", str(folder), cwd=prepared)
        assert "resumed" in done.stdout, done.stderr
        assert digest(folder) == digest(whole)
    finally:
        process.kill()
        process.wait()
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.slow
def test_a_few_kills_of_every_stage(tmp_path: Path) -> None:
    """The short form of `make soak`."""
    done = run(sys.executable, "-m", "tests.soak", "--kills", "8", "--output", str(tmp_path / "soak.csv"), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((tmp_path / "soak.csv").read_text().splitlines()) >= 8
