"""One finished smoke suite for all tests of what comes after; each works on a copy of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.workflow.commands import copy_project, run, snakemake


@dataclass(frozen=True)
class Finished:
    """A copy of the project whose default suite is the smoke suite, finished; and its first command, as typed."""

    copy: Path
    typed: CompletedProcess[str]


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The finished smoke suite: first one table, typed as in the README, then the rest. Not to be changed."""
    copy = copy_project(tmp_path_factory.mktemp("smoke") / "project")
    shutil.copy(copy / "config/suites/smoke.yaml", copy / "config/config.yaml")
    typed = run("snakemake", "results/tables/robustness.csv", cwd=copy, code=copy)
    done = snakemake(copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return Finished(copy, typed)
