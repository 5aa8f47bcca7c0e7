"""`snakemake --profile slurm all`, as typed, on a real Slurm: the records of a local run, whatever happens to jobs.

Compared bit for bit: every record but for its place (`ddcl.base.provenance.PLACE`), with it the digests of checkpoints
and the metrics; every array of predictions; every table.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddcl.base.files import read_json
from ddcl.base.provenance import PLACE
from ddcl.plan.suite import Suite
from tests.cluster.slurm import call, cluster, jobs, wait_for, why_not
from tests.workflow.commands import ROOT, copy_project, environment, replace, snakemake

pytestmark = pytest.mark.cluster

SUITE = Path(__file__).with_name("suite.yaml")
RUN = f"results/{Suite.load(SUITE).plan.run('digits/ddcl/caug/seed0').folder}"
LOG = RUN.replace("/runs/", "/logs/", 1)
TYPED = ("snakemake", "--profile", "slurm", "all")  # the user's own command, and nothing else
# What a small cluster needs otherwise, in the profile, as a site would: another suite, a training that asks for a GPU,
# and a look at the queue every few seconds.
SITE = {
    "configfile: config/suites/paper.yaml": f"configfile: {SUITE}",
    "# set-resources:\n#   pretrain: {gpu: 0, gres: \"'gpu:1'\"}": "set-resources:\n  pretrain: {gpu: 1}",
    "slurm-init-seconds-before-status-checks: 30": "slurm-init-seconds-before-status-checks: 7",
}
SECONDS = 420


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A running cluster."""
    if why_not():
        pytest.skip(why_not())
    root = Path(tempfile.mkdtemp(prefix="ddcl-slurm-"))
    try:
        with cluster(root):
            yield
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the suite was run without a cluster."""
    copy = copy_project(tmp_path_factory.mktemp("local") / "project")
    done = snakemake("all", "--configfile", str(SUITE), copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


@pytest.fixture(scope="module")
def remote(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the suite was run on the cluster."""
    copy = copy_project(tmp_path_factory.mktemp("remote") / "project")
    for ours, theirs in SITE.items():
        replace(copy / "slurm/config.yaml", ours, theirs)
    finish(start(copy, *TYPED), copy)
    return copy


@pytest.fixture
def untrained(remote: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that in which DDCL is not trained yet, and nothing that comes of it is there."""
    copy = tmp_path / "project"
    shutil.copytree(remote, copy)
    for folder in (RUN, "results/tables", "results/figures", "results/report"):
        shutil.rmtree(copy / folder)
    (copy / "results/records.parquet").unlink()
    (copy / LOG / "pretrain.log").unlink()
    yield copy
    call("scancel", "--me")
    wait_for("the queue to empty", lambda: not jobs())


def start(copy: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a command in a copy of the project, in a process group of its own; it is killed if it takes too long."""
    limited = ("timeout", "--kill-after=5", str(SECONDS), *command)
    with (copy / "output.txt").open("w") as output:
        return subprocess.Popen(
            limited, cwd=copy, env=environment(copy), stdout=output, stderr=output, start_new_session=True
        )


def finish(process: subprocess.Popen[bytes], copy: Path) -> str:
    """Wait for a command that must succeed; return what it printed."""
    code, output = process.wait(), (copy / "output.txt").read_text()
    assert code == 0, output
    return output


def training(process: subprocess.Popen[bytes], copy: Path) -> dict[str, Any]:
    """Wait until the training that a command started has done some epochs; return its progress."""
    path = copy / RUN / "work/progress.json"

    def under_way() -> bool:
        assert process.poll() is None, (copy / "output.txt").read_text()
        return path.exists() and bool(read_json(path, "progress")["epoch"] >= 2)

    wait_for("the training", under_way, SECONDS)
    progress: dict[str, Any] = read_json(path, "progress")
    return progress


def assert_same_results(one: Path, other: Path) -> None:
    """Compare records, predictions, histories and tables of two copies."""
    names = {path.relative_to(one) for path in (one / "results/runs").rglob("on/*/*-*/*.json")}
    assert len(names) == 4
    for name in names:
        records = [read_json(copy / name, "record") for copy in (one, other)]
        for record in records:
            assert record["checkpoint_digest"]
            del record["sha256"]
            for key in PLACE:
                del record["provenance"][key]
        assert records[0] == records[1]
        predictions = [np.load(copy / name.with_name(f"{name.stem}_predictions.npz")) for copy in (one, other)]
        assert set(predictions[0]) == set(predictions[1])
        assert all(np.array_equal(predictions[0][key], predictions[1][key]) for key in predictions[0])
    for end in ("csv", "md", "tex"):
        table = f"results/tables/linear.{end}"
        assert (one / table).read_bytes() == (other / table).read_bytes()


def test_a_cluster_gives_the_records_of_a_local_run(local: Path, remote: Path) -> None:
    assert_same_results(local, remote)
    jobs_of_records = {
        read_json(path, "record")["provenance"]["slurm_job_id"]
        for path in (remote / "results/runs").rglob("on/*/*-*/*.json")
    }
    assert len(jobs_of_records) == 2  # extraction and evaluations of a run are one job
    assert None not in jobs_of_records
    trained = read_json(remote / RUN / "run.json", "summary")["provenance"]["slurm_job_id"]
    asked = call("scontrol", "show", "job", trained)
    assert "Partition=gpu" in asked
    assert "TresPerJob=gres:gpu:1" in asked
    assert "TimeLimit=00:2" in asked
    again = finish(start(remote, *TYPED), remote)
    assert "Nothing to be done" in again


def test_a_cancelled_training_is_submitted_again_and_goes_on(remote: Path, untrained: Path) -> None:
    process = start(untrained, *TYPED[:-1], f"{RUN}/checkpoint.pt")
    job = training(process, untrained)["slurm_job_id"]
    call("scancel", job)
    assert "Trying to restart" in finish(process, untrained)
    summaries = [read_json(copy / RUN / "run.json", "summary") for copy in (remote, untrained)]
    assert summaries[0]["checkpoint_digest"] == summaries[1]["checkpoint_digest"]
    assert summaries[1]["provenance"]["slurm_job_id"] != job
    assert "resumed" in (untrained / LOG / "pretrain.log").read_text()


def test_after_kill_9_of_snakemake_the_documented_commands_finish(local: Path, untrained: Path) -> None:
    process = start(untrained, *TYPED)
    job = training(process, untrained)["slurm_job_id"]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert job in jobs()
    documented = re.search(r"```\n(squeue .*?)```", (ROOT / "docs/cluster.md").read_text(), re.DOTALL)
    assert documented
    finish(start(untrained, "bash", "-ec", documented[1]), untrained)
    assert_same_results(local, untrained)
    assert "resumed" in (untrained / LOG / "pretrain.log").read_text()
