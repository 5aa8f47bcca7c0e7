"""The tutorials, as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.workflow.commands import copy_project
from tests.workflow.tutorials import follow, read


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "clone")


@pytest.mark.slow
def test_my_data_and_then_reading_the_report(code: Path, tmp_path: Path) -> None:
    project = follow(read("my_data.md"), tmp_path, code)
    assert (project / "results/report/index.html").is_file()
    assert (project / "results/tables/knn.csv").is_file()
    assert follow(read("report.md"), project, code) == project
    assert (project / "mine.zip").is_file()


@pytest.mark.slow
def test_the_paper_on_my_cluster_is_planned_as_written(code: Path) -> None:
    assert follow(read("cluster.md"), code, code) == code


def test_the_command_that_nobody_may_run_here_is_the_tested_one_without_dry_run() -> None:
    tried, run = re.findall(r"^(snakemake .*)$", read("cluster.md"), re.MULTILINE)
    assert run == tried.replace(" --dry-run", "").replace("smoke.yaml", "cifar10.yaml")
