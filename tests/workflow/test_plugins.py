"""A method, an evaluation, a reader and an operation of a package outside the project, from nothing to the table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.commands import ROOT, environment, planned, replace

PLUGIN = ROOT / "tests/plugin"
SUITE = ("--configfile", "mine/suites/strange.yaml")


def snakemake(folder: Path, *arguments: str) -> str:
    """Run Snakemake in a folder that has nothing of the project; return its output."""
    variables = environment(ROOT)
    variables["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(folder / "site")))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(ROOT / "workflow/Snakefile")]
    run = subprocess.run(
        [*command, *SUITE, *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.mark.slow
def test_a_package_from_outside_does_what_the_projects_own_methods_do(tmp_path: Path) -> None:
    """It lies on the path, as an installed one does, with a folder of configuration beside its suite."""
    shutil.copytree(PLUGIN / "outside", tmp_path / "site/outside", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PLUGIN / "config", tmp_path / "mine")
    snakemake(tmp_path)
    table = pd.read_csv(tmp_path / "results/tables/means.csv")
    found = table[["variant", "part", "perturbation"]].drop_duplicates()
    assert len(found) == 4 * 2  # three parts of the plugin's method and one of SimSiam's, clean and negative
    assert set(table["metric"]) == {"nearest_mean"}
    assert "Mine" in (tmp_path / "results/tables/knn.md").read_text(encoding="utf-8")
    assert "Mine" in (tmp_path / "results/report/index.html").read_text(encoding="utf-8")
    (run,) = (tmp_path / "results/runs/stripes/mine").glob("strange-*/seed0/run.json")
    assert json.loads(run.read_text(encoding="utf-8"))["status"] == "ok"

    assert "Nothing to be done" in snakemake(tmp_path, "-n")
    replace(tmp_path / "site/outside/losses.py", ".mean()", ".sum()")
    again = planned(snakemake(tmp_path, "-n"))
    assert (again["pretrain"], again["extract"]) == (1, 1)  # of the plugin's run, not of SimSiam's
    assert "prepare" not in again
