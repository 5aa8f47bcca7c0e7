"""One finished smoke suite for all tests of what comes after; each works on a copy of it."""

from __future__ import annotations

import fcntl
import json
import os
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
    """The finished smoke suite: first one table, typed as in the README, then the rest. Not to be changed.

    Of several workers of one pytest the first that needs it makes it, while the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke.json"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            made = _finish(copy_project(tmp_path_factory.mktemp("smoke") / "project"))
            shared.write_text(json.dumps({"copy": str(made.copy), "typed": vars(made.typed)}))
    known = json.loads(shared.read_text())
    return Finished(Path(known["copy"]), CompletedProcess(**known["typed"]))


def _finish(copy: Path) -> Finished:
    shutil.copy(copy / "config/suites/smoke.yaml", copy / "config/config.yaml")
    typed = run("snakemake", "results/tables/robustness.csv", cwd=copy, code=copy)
    done = snakemake(copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return Finished(copy, typed)
