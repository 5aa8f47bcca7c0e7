"""A method, an evaluation, a reader and an operation of a package outside the project, from nothing to the table."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.commands import ROOT, environment, own_environment, planned, replace

PLUGIN = ROOT / "tests/plugin"
SUITE = "mine/suites/strange.yaml"


@dataclass(frozen=True)
class User:
    """Somebody with an environment in which the package is installed, and a folder that has nothing of the project."""

    python: Path
    folder: Path

    def run(self, *command: str) -> str:
        """Run a module of Python that must succeed; return what it printed."""
        done = subprocess.run(
            [str(self.python), "-P", "-m", *command],
            cwd=self.folder,
            env=environment(ROOT, self.python) | {"DDCL_CONFIG": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def snakemake(self, *arguments: str) -> str:
        """Run the suite."""
        options = ("--cores", "2", "--snakefile", str(ROOT / "workflow/Snakefile"), "--configfile", SUITE)
        return self.run("snakemake", *options, *arguments)


def user(folder: Path) -> User:
    """Install the package, with its YAML beside the suite in a folder of the user's."""
    found = User(own_environment(folder / "environment"), folder / "user")
    shutil.copytree(PLUGIN, folder / "package", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PLUGIN / "config", found.folder / "mine")
    found.run("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", str(folder / "package"))
    shutil.rmtree(folder / "package")
    return found


@pytest.mark.slow
def test_an_installed_package_does_what_the_projects_own_methods_do(tmp_path: Path) -> None:
    mine = user(tmp_path)
    results = mine.folder / "results"
    mine.snakemake()
    table = pd.read_csv(results / "tables/means.csv")
    found = table[["variant", "part", "perturbation"]].drop_duplicates()
    assert len(found) == 7 * 2  # three parts of the plugin and of its ablation, one of SimSiam; two perturbations
    assert set(table["metric"]) == {"nearest_mean"}
    assert set(table[table["variant"] == "mine"]["baseline"].dropna()) == {"simsiam"}  # as its mark says
    assert "Mine" in (results / "tables/knn.md").read_text(encoding="utf-8")
    assert "Mine" in (results / "report/index.html").read_text(encoding="utf-8")
    for variant in ("mine", "mine_w0"):  # the second is trained by two processes
        (run,) = results.glob(f"runs/stripes/{variant}/strange-*/seed0/run.json")
        assert json.loads(run.read_text(encoding="utf-8"))["status"] == "ok"

    mine.run("ddcl", "trace", "results/tables/means.csv", "--row", "1")
    mine.run("ddcl", "plan", "--suite", SUITE)
    mine.run("ddcl", "export", "--output", "mine.zip")
    mine.run("ddcl", "import", "mine.zip", "--results", "elsewhere")
    assert "Nothing to be done" in mine.snakemake("-n")
    (losses,) = (tmp_path / "environment").rglob("outside/losses.py")
    replace(losses, ".mean()", ".sum()")
    again = planned(mine.snakemake("-n"))
    assert (again["pretrain"], again["extract"]) == (2, 2)  # of the plugin's runs, not of SimSiam's
    assert "prepare" not in again
