"""The tutorials, as written: their files are saved under the titles of their blocks, their commands run in order."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.workflow.commands import ROOT, copy_project, environment

TUTORIALS = ROOT / "docs/tutorials"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
PROGRAMS = 'ddcl() { python -m ddcl "$@"; }\nset -e\n'  # the code of this checkout, whatever is installed


def follow(name: str, folder: Path, code: Path) -> Path:
    """Do what a tutorial says, beginning in `folder`; return the folder in which it ends."""
    for language, title, text in BLOCK.findall((TUTORIALS / name).read_text(encoding="utf-8")):
        if title:
            (folder / title).write_text(text)
        elif language == "sh":
            script = f'{PROGRAMS}{text}pwd > "$LAST"\n'
            last = code.parent / "last folder"
            variables = environment(code) | {"LAST": str(last)}
            done = subprocess.run(
                ["bash", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{name}:\n{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            folder = Path(last.read_text().strip())
    return folder


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "clone")


@pytest.mark.slow
def test_my_data_and_then_reading_the_report(code: Path, tmp_path: Path) -> None:
    project = follow("my_data.md", tmp_path, code)
    assert (project / "results/report/index.html").is_file()
    assert (project / "results/tables/knn.csv").is_file()
    assert follow("report.md", project, code) == project
    assert (project / "mine.zip").is_file()


@pytest.mark.slow
def test_the_paper_on_my_cluster_is_planned_as_written(code: Path) -> None:
    assert follow("cluster.md", code, code) == code


def test_the_command_that_nobody_may_run_here_is_the_tested_one_without_dry_run() -> None:
    text = (TUTORIALS / "cluster.md").read_text(encoding="utf-8")
    tried, run = re.findall(r"^(snakemake .*)$", text, re.MULTILINE)
    assert run == tried.replace(" --dry-run", "").replace("smoke.yaml", "cifar10.yaml")
