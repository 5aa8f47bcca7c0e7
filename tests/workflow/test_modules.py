"""This workflow inside another one: two suites as two modules, each with its results below a prefix of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from ddcl.report.exchange.adopt import adopt
from tests.workflow.commands import ROOT, planned, run

WORKFLOW = f"""
configfile: "settings/config.yaml"


module first:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config["first"]
    prefix: "of the first"


module second:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config["second"]
    prefix: "second"


use rule * from first as first_*


use rule * from second as second_*


rule both:
    default_target: True
    input:
        "of the first/results/report/index.html",
        "second/results/tables/mine.csv",
"""
SUITE = {
    "suite": "first",
    "title": "A module",
    "description": "One run.",
    "runs": [
        {
            "datasets": ["digits"],
            "variants": ["ddcl"],
            "augmentations": ["baug"],
            "seeds": [0],
            "overrides": {"epochs": 1, "schedule": {"warmup_epochs": 0}},
        }
    ],
    "evaluations": ["knn"],
    "perturbations": ["none"],
    "tables": ["knn"],
    "figures": ["knn_curves"],
    "pictures": ["views"],
}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A workflow that uses two suites; the second shows a table that is described beside its configuration."""
    settings = tmp_path / "settings"
    (settings / "tables").mkdir(parents=True)
    second = SUITE | {"suite": "second", "tables": ["mine"], "figures": [], "pictures": []}
    (settings / "config.yaml").write_text(yaml.safe_dump({"first": SUITE, "second": second}))
    table = (ROOT / "config/tables/knn.yaml").read_text().replace("[knn, knn200]", "[knn]")
    (settings / "tables/mine.yaml").write_text(table)
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    return tmp_path


def snakemake(*arguments: str, cwd: Path) -> CompletedProcess[str]:
    return run(sys.executable, "-m", "snakemake", "--cores", "2", *arguments, cwd=cwd)


@pytest.mark.slow
def test_two_suites_are_two_modules_of_another_workflow(other: Path) -> None:
    done = snakemake(cwd=other)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (other / "of the first/results/report/index.html").is_file()
    assert (other / "second/results/tables/mine.csv").is_file()
    assert not (other / "results").exists()
    for prefix in ("of the first", "second"):
        adopted = adopt(other / prefix / "results")
        assert (adopted.datasets, adopted.runs, adopted.problems) == (1, 1, [])
    again = snakemake("-n", cwd=other)
    assert again.returncode == 0, again.stderr
    assert planned(again.stdout + again.stderr) == {}


def test_what_a_module_cannot_be_is_said_in_a_line(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDCL_DATA", raising=False)
    file = other / "settings/config.yaml"
    good = yaml.safe_load(file.read_text())
    for second, message in (
        ({}, "module second: expected `config:` with a whole suite, found nothing"),
        (SUITE | {"nosuch": 1}, "module second: config: unknown key 'nosuch'"),
        (
            SUITE | {"data_root": "there"},
            "data_root: all modules of a workflow must have the same, found data (first), there (second)",
        ),
    ):
        file.write_text(yaml.safe_dump(good | {"second": second}))
        done = snakemake("-n", cwd=other)
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert message in said
        assert "Traceback" not in said
