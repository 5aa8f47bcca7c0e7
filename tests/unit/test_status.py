"""How far a suite is, from made-up results folders."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import pytest

from ddcl.__main__ import main
from ddcl.base import sealed
from ddcl.base.files import read_json, write_json, write_text
from ddcl.base.progress import Progress, announce
from ddcl.base.provenance import PLACE, provenance
from ddcl.plan.addresses import addressed
from ddcl.plan.digests import pretrain_digest
from ddcl.plan.plan import Target, write_plan
from ddcl.plan.status import describe, evaluation_state, run_state, tail, training_state
from ddcl.report.collect import collect
from ddcl.schema.run_key import RunKey
from ddcl.schema.run_summary import RunSummary
from tests.unit import pages, synthetic, written

PLAN = synthetic.with_recipes(synthetic.suite())
RUN = PLAN.run("digits/ddcl/baug/seed0")
LINEAR, KNN = RUN.targets
PROTOCOLS = {"linear": "linear", "knn": "knn"}
EXTRACT, MEASURE = addressed("features", str(KNN.features)), addressed("knn", KNN.digest)  # stages


def trained(results: Path, digest: str = RUN.recipe_digest, code: str = "") -> None:
    summary = RunSummary(
        run=RunKey(dataset="digits", variant="ddcl", augmentation="baug", seed=0),
        status="ok",
        message="",
        epochs=24,
        precision="fp32",
        n_parameters=1,
        seconds=9.0,
        history_sha256="h",
        checkpoint_sha256="c",
        checkpoint_digest="d",
        manifest_seal="m",
        provenance=provenance("cpu", digest, code or pretrain_digest(RUN.method, RUN.ops)),
    )
    folder = results / RUN.folder
    sealed.write(folder / "run.json", summary)
    write_text(folder / "checkpoint.pt", "")


def measured(results: Path, target: Target) -> None:
    """Write a record of the run."""
    path = results / RUN.record(target)
    written.write_record(path, (RUN, target), pages.summary(RUN), {"digits": "m"}, synthetic.value, 0)


def log(results: Path, path_below: str, text: str, age_seconds: float = 0) -> None:
    path = results / path_below
    write_text(path, text)
    os.utime(path, (time.time() - age_seconds,) * 2)


def progress(results: Path, **changes: Any) -> Path:
    """Write the progress of a training in this process, or of one that `changes` describes."""
    work = results / RUN.folder / "work"
    report = Progress(work, epochs=4, images=100)
    report(1)
    report(3)
    path = work / "progress.json"
    write_json(path, read_json(path, "progress") | changes)
    return path


def test_a_training_at_work_says_speed_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([50.0, 50.0, 250.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    progress(tmp_path, host="node7")
    state = training_state(tmp_path, RUN)
    # resumed after one epoch; two more took 200 s, so one of 100 images takes 100 s
    assert (state.state, state.detail) == (
        "running",
        "epoch 3 of 4, 1 images/s, 0 h 02 min left, on node7 (Slurm job 17)",
    )


def test_a_training_is_dead_when_its_process_is_or_when_it_was_silent_elsewhere(tmp_path: Path) -> None:
    log(tmp_path, RUN.log("pretrain"), "epoch 3/4\nKilled\n")
    path = progress(tmp_path)
    assert training_state(tmp_path, RUN).state == "running"
    progress(tmp_path, pid=2**22 + 1)
    dead = training_state(tmp_path, RUN)
    assert dead.state == "failed"
    assert "failed or was interrupted after 3 of 4 epochs" in dead.detail
    assert dead.tail == ["epoch 3/4", "Killed"]
    progress(tmp_path, host=f"not-{platform.node()}")
    os.utime(path, (time.time() - 4000,) * 2)
    assert training_state(tmp_path, RUN).state == "failed"
    progress(tmp_path, host=f"not-{platform.node()}", seconds_per_epoch=2000)
    os.utime(path, (time.time() - 4000,) * 2)
    assert training_state(tmp_path, RUN).state == "running"


def test_a_run_waits_is_half_done_fails_and_is_done(tmp_path: Path) -> None:
    def state() -> tuple[str, str]:
        found = run_state(tmp_path, RUN, PROTOCOLS)
        return found.state, found.detail

    assert state() == ("waiting", "")
    trained(tmp_path, "another")
    assert state() == ("waiting", "trained with another recipe")
    run_json = tmp_path / RUN.folder / "run.json"
    run_json.write_text(run_json.read_text().replace("24", "25"))
    assert state() == (
        "failed",
        f"{run_json}: summary of a training is damaged or edited (its sha256 does not match its content); "
        "run `ddcl pretrain` again",
    )
    trained(tmp_path)
    assert state() == ("waiting", "trained (ok, 24 epochs), 0 of 2 evaluations")
    log(tmp_path, RUN.log(EXTRACT, "digits"), "")
    assert state() == ("running", "trained (ok, 24 epochs), 0 of 2 evaluations; linear on digits began")
    log(tmp_path, RUN.log(EXTRACT, "digits"), "", age_seconds=4000)
    assert state()[0] == "failed"
    (tmp_path / str(RUN.features(KNN))).mkdir(parents=True)
    assert state()[0] == "waiting"
    measured(tmp_path, LINEAR)
    log(tmp_path, RUN.log(MEASURE, "digits"), "ddcl: error: the disk is full\n")
    assert state()[0] == "failed"
    assert "1 of 2 evaluations; knn on digits failed" in state()[1]
    assert evaluation_state(tmp_path, RUN, KNN, "knn").tail == ["ddcl: error: the disk is full"]
    write_json(tmp_path / RUN.record(KNN), {})
    assert state()[0] == "failed"
    assert "knn.json: record of no schema" in state()[1]
    measured(tmp_path, KNN)
    assert state() == ("done", "trained (ok, 24 epochs), 2 of 2 evaluations")
    written.change_record(tmp_path / RUN.record(KNN), provenance=pages.provenance(RUN, code_digest="other"))
    trained(tmp_path, code="other")
    found = "trained (ok, 24 epochs, made by other code), 2 of 2 evaluations, 1 of them, made by other code"
    assert state() == ("done", found)
    text = describe(PLAN, tmp_path)
    assert text.endswith("suite synthetic: 10 runs: 1 done, 0 running, 0 failed, 9 waiting")


def test_a_log_ends_with_what_a_terminal_would_show(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 9000 + b"\none\n\n 10%|#\r 20%|##\ntwo\n\xff three\n")
    assert tail(path) == [" 20%|##", "two", "� three"]


def test_failed_cells_are_told_from_those_that_were_not_run(tmp_path: Path) -> None:
    log(tmp_path, RUN.log("pretrain"), "CUDA out of memory\n")
    found = collect(PLAN, tmp_path, partial=True)
    frame = found.frames("t")[0]
    by_run = dict(
        zip(zip(frame["variant"], frame["augmentation"], frame["seed"], strict=True), frame["status"], strict=True)
    )
    assert by_run.pop(("ddcl", "baug", 0)) == "failed"
    assert set(by_run.values()) == {"missing"}
    (failed,) = [run for run in found.runs if run.status == "failed"]
    assert failed.run.name == RUN.name
    assert failed.message.startswith("training failed or was interrupted: ")
    assert failed.message.endswith("pretrain.log: CUDA out of memory")
    seal = written.write_manifest(tmp_path / PLAN.data_folders[0], "digits")
    write_json(tmp_path / RUN.folder / "config.json", synthetic.recipe_of(RUN).model_dump())
    written.write_training(tmp_path / RUN.folder, RUN, seal, 0.1, {0: 0.3, 6: 0.4})
    log(tmp_path, RUN.log(MEASURE, "digits"), "MemoryError\n")
    found = collect(PLAN, tmp_path, partial=True)
    frame = found.frames("t")[0]
    assert set(frame.loc[frame["status"] == "failed", "evaluation"]) == {"knn"}


def test_records_name_the_place_where_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    here = vars(provenance("cpu", "r", "c"))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    there = vars(provenance("cpu", "r", "c"))
    assert {name for name in here if here[name] != there[name]} == {"slurm_job_id"}
    assert {"host", "slurm_job_id"} == set(PLACE)
    assert (there["host"], there["slurm_job_id"]) == (platform.node(), "17")


def test_a_training_that_has_just_begun_is_running(tmp_path: Path) -> None:
    log(tmp_path, RUN.log("pretrain"), "")  # the shell makes it before the program has said anything
    assert training_state(tmp_path, RUN).detail == "training began"
    log(tmp_path, RUN.log("pretrain"), "", age_seconds=1000)
    assert training_state(tmp_path, RUN).state == "failed"
    path = progress(tmp_path, host=platform.node(), pid=2**22 - 1)  # of a process that is no more
    log(tmp_path, RUN.log("pretrain"), "epoch 3/4\n")
    assert training_state(tmp_path, RUN).state == "failed"
    announce(path.parent, epochs=4)
    assert training_state(tmp_path, RUN).state == "running"
    assert training_state(tmp_path, RUN).detail.startswith("epoch 3 of 4, on")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert f"{tmp_path / 'nowhere'}: there is no such folder, so nothing was run there" in describe(
        PLAN, tmp_path / "nowhere"
    )
    assert "no such folder" not in describe(PLAN, tmp_path)


def test_without_a_suite_it_is_that_of_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(PLAN, tmp_path)
    trained(tmp_path)
    measured(tmp_path, LINEAR)
    measured(tmp_path, KNN)
    assert main(["status", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("suite synthetic: 10 runs: 1 done, 0 running, 0 failed, 9 waiting\n")
