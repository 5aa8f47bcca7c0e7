"""The profiles, as typed in the root of a copy: which suite, and what jobs ask for. Nothing is run or submitted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ddcl.plan.suite import Suite
from tests.workflow.commands import copy_project, replace, run

DIGITS = "config/config.yaml"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("profiles") / "project")


def dry(copy: Path, *arguments: str) -> str:
    """Return what a dry run prints."""
    done = run("snakemake", "--dry-run", *arguments, cwd=copy, code=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def asked(output: str, rule: str, makes: str = "") -> list[dict[str, str]]:
    """Return the resources of each job of a rule. makes: of those that name this file."""
    jobs = re.findall(rf"^ *rule {rule}:\n((?:    .*\n)*? *resources: .*)$", output, re.MULTILINE)
    found = [job.rpartition("resources: ")[2] for job in jobs if makes in job]
    return [dict(item.split("=", 1) for item in line.split(", ") if "=" in item) for line in found]


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["slurm", "workstation"])
def test_the_bare_profile_is_the_paper_and_a_configfile_takes_its_place(profile: str, copy: Path) -> None:
    paper = Suite.load(copy / "config/suites/imagenet.yaml").plan
    target = f"results/{paper.run('imagenet/ddcl_e100/caug/seed0').folder}/checkpoint.pt"
    (resources,) = asked(dry(copy, "--profile", profile, target), "pretrain", target)  # the pilot's runs are there, too
    assert resources["gpu"] == "1"
    assert int(resources["mem_mb"]) > 8000
    assert int(resources["runtime"]) > 5 * 24 * 60
    output = dry(copy, "--profile", profile, "all", "--configfile", DIGITS)
    jobs = asked(output, "pretrain")
    assert len(jobs) == 67
    assert {(job["gpu"], job["mem_mb"]) for job in jobs} == {("0", "2100")}
    missing = run("snakemake", "-n", "--profile", profile, target, "--configfile", DIGITS, cwd=copy, code=copy)
    assert missing.returncode != 0
    assert "No rule to produce" in missing.stdout + missing.stderr
    assert "Traceback" not in missing.stdout + missing.stderr


@pytest.mark.slow
def test_a_large_run_takes_all_places_on_a_gpu_that_small_ones_share(tmp_path: Path) -> None:
    own = copy_project(tmp_path / "project")
    replace(own / "workstation/config.yaml", "runs_per_gpu=1", "runs_per_gpu=3")
    suite = "config/suites/paper.yaml"
    plan = Suite.load(own / suite).plan
    for name, places in (("imagenet100/ddcl/caug/seed0", "3"), ("cifar10/ddcl/caug/seed0", "1")):
        target = f"results/{plan.run(name).folder}/checkpoint.pt"
        (resources,) = asked(dry(own, "--profile", "workstation", target), "pretrain", target)
        assert resources["gpu"] == places
    refused = run("snakemake", "-n", "--resources", "runs_per_gpu=0", "--configfile", DIGITS, cwd=own, code=own)
    assert refused.returncode != 0
    assert "resources: runs_per_gpu: expected a number of runs, 1 or more, found '0'" in refused.stdout + refused.stderr


def test_every_key_of_a_profile_has_its_reason() -> None:
    for name in ("slurm/config.yaml", "workstation/config.yaml"):
        text = (Path(__file__).parents[2] / name).read_text()
        for block in text.strip().split("\n\n"):
            assert block.lstrip().startswith("#"), f"{name}: {block}"
        assert isinstance(yaml.safe_load(text), dict)
