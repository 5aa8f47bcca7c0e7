"""The pilot of a suite in the DAG: what waits for it, and what happens if it fails."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddcl.base import sealed
from ddcl.plan.cost import jobs as jobs_of
from ddcl.plan.suite import Suite
from ddcl.schema.pilots import Verdict
from tests.workflow.commands import copy_project, planned, run_of, snakemake, target_of

PILOT, OTHER = "digits/simsiam/baug/seed0", "digits/ddcl/baug/seed0"
GATE = """
label: pilot
statement: SimSiam is never wrong.
follows: SimSiam errs.
arms: control
when: {dataset: [digits]}
treatment: {variant: simsiam, augmentation: baug}
evaluation: [knn]
reference: 101.5
least: -0.5
"""


def test_every_training_of_cifar10_waits_for_the_gate_but_the_pilots_own(tmp_path: Path) -> None:
    copy = copy_project(tmp_path / "project")
    suite = Suite.load(copy / "config/suites/cifar10.yaml")
    targets = [f"results/{run.folder}/checkpoint.pt" for run in suite.plan.runs]
    done = snakemake("-n", *targets, "--configfile", "config/suites/cifar10.yaml", copy=copy)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-2000:]
    jobs = re.findall(r"^rule pretrain:\n    input: (.*)\n    output: results/runs/(.*?)/checkpoint\.pt", output, re.M)
    pilot = {suite.plan.run(name).folder for name in suite.pilot.runs} if suite.pilot else set()
    assert len(jobs) == len(suite.runs)
    assert {f"runs/{folder}" for inputs, folder in jobs if "<TBD>" not in inputs} == pilot
    assert len(pilot) == 2
    assert planned(output)["gate"] == jobs_of(suite)["gate"] == 1
    assert output.count("    priority: 1\n") == 2 * 3  # each trains, extracts, and has the evaluation of its gate


def write_suite(copy: Path, **pilot: Any) -> None:
    """Write a suite of two runs, one of which is the pilot if there is one, as the default suite."""
    names = {"datasets": ["digits"], "variants": ["simsiam", "ddcl"], "augmentations": ["baug"], "seeds": [0]}
    suite = {"suite": "small", "title": "t", "description": "t"} | ({"pilot": pilot} if pilot else {})
    suite |= {"runs": [names | {"overrides": {"epochs": 1, "schedule": {"warmup_epochs": 0}}}]}
    suite |= {"evaluations": ["knn"], "perturbations": ["none"], "tables": ["knn"]}
    (copy / "config/config.yaml").write_text(yaml.safe_dump(suite))


def to_do(copy: Path, *arguments: str) -> dict[str, int]:
    """Return the jobs per rule of a dry run."""
    done = snakemake("-n", *arguments, copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return planned(done.stdout + done.stderr)


@pytest.mark.slow
def test_a_failed_pilot_stops_the_suite_until_someone_says_why_to_go_on(tmp_path: Path) -> None:
    copy = copy_project(tmp_path / "project")
    asked: dict[str, Any] = {"gates": ["never_wrong"], "seeds": [0]}
    (copy / "config/gates/never_wrong.yaml").write_text(GATE)
    write_suite(copy, **asked)
    failed = snakemake("--retries", "2", copy=copy)
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert output.count("ddcl: error: the pilot failed, so no other run of the suite is trained.") == 1
    assert re.search(rf"never_wrong is failed: {PILOT} has \d+\.\d\d % \(top1 of knn\), and it must be", output)
    assert "write the reason as `run_anyway` under `pilot` in the suite's file" in output
    folders = {name: copy / "results" / run_of(copy, name).folder for name in (PILOT, OTHER)}
    assert (folders[PILOT] / "run.json").exists()
    assert not (folders[OTHER] / "run.json").exists()
    assert not list(copy.glob("results/pilots/*"))
    of_pilot = (folders[PILOT] / "run.json").stat().st_mtime_ns

    write_suite(copy, **asked, run_anyway="digits are no benchmark")
    done = snakemake(copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    (verdict,) = copy.glob("results/pilots/*.json")
    (judged,) = sealed.read(verdict, Verdict, "", "").gates
    assert (judged.passed, judged.gate.run_anyway) == (False, "digits are no benchmark")
    assert (folders[OTHER] / "run.json").exists()
    assert (folders[PILOT] / "run.json").stat().st_mtime_ns == of_pilot

    # what is trained stays: with a failing pilot that nobody judged yet, and without any
    write_suite(copy, **asked)
    assert to_do(copy) == {}
    write_suite(copy)
    assert to_do(copy) == {}
    # what is lost waits
    write_suite(copy, **asked)
    shutil.rmtree(folders[OTHER])
    other = run_of(copy, OTHER)
    jobs = dict.fromkeys(("gate", "resolve", "pretrain", "extract", "knn"), 1)
    assert to_do(copy, f"results/{other.record(target_of(other, 'knn'))}") == jobs
