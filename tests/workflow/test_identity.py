"""No suite's results are ever shown, replaced or used as another's: after copies, other times, other metadata, imports.

Suite A is a part of the smoke suite, whose trained runs it shares. Suite B has runs of the same names, but trains them
for three epochs instead of two. Most tests are dry runs on a copy of A's finished results.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from ddcl.base.files import read_json, write_text
from ddcl.plan.plan import read_plan
from tests.workflow.commands import copy_project, planned, replace, run, run_of, snakemake, target_of
from tests.workflow.conftest import Finished

SUITE = """\
suite: {name}
title: The suite {name}
description: A test.
runs:
  - datasets: [digits]
    variants: [ddcl, simsiam]
    augmentations: [caug]
    seeds: [0]
    overrides: {{epochs: {epochs}, schedule: {{warmup_epochs: 1}}}}
evaluations: [linear, knn]
perturbations: [none, color_rotate]
tables: [knn]
figures: [knn_curves]
"""
RUN = "digits/ddcl/caug/seed0"
B = ("--configfile", "config/suites/b.yaml")
WORK = {"prepare", "resolve", "pretrain", "extract", "linear", "knn"}  # all that is shared between suites
TABLE = "results/tables/knn.csv"
FIGURES = {"knn_curves", "knn_curves_differences"}
SHOWN = {"plan": 1, "collect": 1, "table": 1, "figure": 2, "report": 1, "all": 1}  # what A shows, and nothing trained
OF_B = {"pretrain": 2, "extract": 2, "linear": 2, "knn": 2}


def add_suites(copy: Path) -> Path:
    """Make A the default suite of a copy of the project, and add B."""
    write_text(copy / "config/config.yaml", SUITE.format(name="A", epochs=2))
    write_text(copy / "config/suites/b.yaml", SUITE.format(name="B", epochs=3))
    return copy


def duplicate(source: Path, target: Path) -> Path:
    """Copy a project with its results and Snakemake's metadata, times included."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def verb(*arguments: str, copy: Path) -> CompletedProcess[str]:
    """Run ``python -m ddcl`` in a copy, with the copy's code."""
    return run(sys.executable, "-m", "ddcl", *arguments, cwd=copy, code=copy)


def said(done: CompletedProcess[str], status: int = 0) -> str:
    """Return what a command printed; it must have ended with this status, and without a traceback."""
    output = done.stdout + done.stderr
    assert done.returncode == status, output
    assert "Traceback" not in output
    return output


def dry(copy: Path, *arguments: str) -> dict[str, int]:
    """Return the jobs that a dry run plans, by rule."""
    return planned(said(snakemake("-n", *arguments, copy=copy)))


def title(copy: Path) -> str:
    """Return which suite the page in a copy is of."""
    (found,) = re.findall("<title>The suite (.)", (copy / "results/report/index.html").read_text())
    return str(found)


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Return time and size of each file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def set_times(folder: Path, seed: int | None) -> None:
    """Give all that lies in a folder random times of the last year; without a seed, one time."""
    drawn = random.Random(seed)
    for path in sorted(folder.rglob("*")):
        when = 1.7e9 + (drawn.uniform(0, 3e7) if seed is not None else 0)
        os.utime(path, (when, when))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with both suites, in which nothing was run."""
    return add_suites(copy_project(tmp_path_factory.mktemp("fresh") / "project"))


@dataclass(frozen=True)
class Known:
    """The finished suite A; and the same copy after suite B was run there, too."""

    a: Path
    then_b: Path


@pytest.fixture(scope="module")
def known(smoke: Finished, tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Both suites, finished. Not to be changed."""
    folder = tmp_path_factory.mktemp("identity")
    a = add_suites(duplicate(smoke.copy, folder / "a"))
    assert dry(a) == SHOWN  # its runs are the smoke suite's
    said(snakemake(copy=a))
    then_b = duplicate(a, folder / "then_b")
    shutil.rmtree(then_b / ".snakemake")
    before = tree(then_b / "results/runs")
    assert {rule: n for rule, n in dry(then_b, *B).items() if rule in WORK} == OF_B | {"resolve": 2}
    output = said(snakemake(*B, copy=then_b))
    assert "results/ shows suite A; this is B (2 of 2 runs to train); tables and page will be remade" in output
    after = tree(then_b / "results/runs")
    assert {name: after.get(name) for name in before} == before  # A's files are as they were
    return Known(a, then_b)


@pytest.fixture
def copy(known: Known, tmp_path: Path) -> Path:
    """A copy of the finished suite A, to be changed."""
    return duplicate(known.a, tmp_path / "project")


def test_a_dry_run_leaves_its_clock_and_nothing_else(fresh: Path) -> None:
    jobs = dry(fresh)
    assert jobs["pretrain"] == 2
    assert not (fresh / "results").exists()
    own = {"log", "locks", "incomplete", "metadata", "conda", "shadow", "iocache", "auxiliary", "storage", "scripts"}
    own |= {"singularity", "conda-archive", "source_cache", "slurm_logs"}
    assert {path.name for path in (fresh / ".snakemake").iterdir()} - own == {"plans"}
    assert len(list((fresh / ".snakemake/plans").iterdir())) == 1


@pytest.mark.slow
def test_results_of_an_earlier_layout_are_named_and_left_alone(fresh: Path, tmp_path: Path) -> None:
    copy = duplicate(fresh, tmp_path / "project")
    old = copy / "results/runs/digits/ddcl/baug/seed0"
    write_text(old / "config.json", "{}")
    write_text(copy / "results/suite.json", '{"schema": 2, "suite": "digits"}')
    before = tree(copy / "results")
    output = said(snakemake("-n", copy=copy))
    (line,) = [line for line in output.splitlines() if "earlier version" in line]
    assert "results/runs holds 1 runs of an earlier version, such as runs/digits/ddcl/baug/seed0" in line
    assert "ddcl clean --unused" in line
    assert "results/ shows the plan of another version; this is suite A (2 of 2 runs to train)" in output
    assert planned(output)["pretrain"] == 2
    assert tree(copy / "results") == before
    for command in ("collect", "claims", "report", "export"):
        output = said(verb(command, copy=copy), 2)
        assert "suite.json: plan of schema 2, this version reads" in output
        assert len(output.splitlines()) == 1


@pytest.mark.slow
def test_one_table_typed_as_in_the_readme(smoke: Finished) -> None:
    assert "cores have to be specified" not in smoke.typed.stderr
    said(smoke.typed)
    assert len(pd.read_csv(smoke.copy / "results/tables/robustness.csv"))


@pytest.mark.slow
class TestTwoSuites:
    """Suite A, and what another suite, another place or other times make of its results."""

    def test_resolve_of_another_suite(self, copy: Path) -> None:
        said(verb("resolve", "--suite", "config/suites/b.yaml", copy=copy))
        assert not (copy / "results/report").exists()
        assert dry(copy) == SHOWN
        assert "shows suite B; this is A (0 of 2 runs to train)" in said(snakemake(copy=copy))
        assert title(copy) == "A"
        assert dry(copy) == {}

    def test_a_copy_without_metadata_is_finished(self, copy: Path) -> None:
        shutil.rmtree(copy / ".snakemake")
        assert dry(copy) == {}

    def test_there_and_back_again(self, known: Known, tmp_path: Path) -> None:
        copy = duplicate(known.then_b, tmp_path / "project")
        assert title(copy) == "B"
        assert dry(copy, *B) == {}
        assert dry(copy) == SHOWN
        said(snakemake(copy=copy))
        assert title(copy) == "A"
        assert dry(copy) == {}
        for name in ("records.parquet", "tables/knn.csv", "tables/knn.md", "suite.json"):
            assert (copy / "results" / name).read_bytes() == (known.a / "results" / name).read_bytes()

    @pytest.mark.parametrize("metadata", ["own", "none"])
    def test_a_copy_with_other_times(self, metadata: str, copy: Path) -> None:
        if metadata == "none":
            shutil.rmtree(copy / ".snakemake")
        set_times(copy / "results", seed=0)
        output = said(verb("adopt", copy=copy))
        assert "1 data sets and 5 runs are intact, 0 problems" in output
        assert not WORK & set(dry(copy))

    @pytest.mark.parametrize("times", ["as they are", "equal", "touched", "metadata of B", "no plan"])
    @pytest.mark.parametrize("target", [(), (TABLE,)])
    def test_another_suite_is_planned_whatever_times_and_metadata_say(
        self, times: str, target: tuple[str, ...], known: Known, copy: Path
    ) -> None:
        if times == "equal":
            set_times(copy / "results", seed=None)
        elif times == "touched":
            snakemake("--touch", *target, *B, copy=copy)
        elif times == "metadata of B":
            shutil.rmtree(copy / ".snakemake")
            duplicate(known.then_b / ".snakemake", copy / ".snakemake")
        elif times == "no plan":
            (copy / "results/suite.json").unlink()
        jobs = dry(copy, *target, *B)
        assert {rule: jobs.get(rule, 0) for rule in OF_B} == OF_B
        assert jobs["plan"] == jobs["collect"] == jobs["table"] == 1
        assert not WORK & set(dry(copy, *target))

    def test_an_edited_recipe_plans_nothing_and_is_named(self, copy: Path) -> None:
        run = run_of(copy, RUN)
        config = copy / "results" / run.folder / "config.json"
        replace(config, '"epochs": 2', '"epochs": 3')
        assert dry(copy) == {}
        for command in (("collect",), ("pretrain", "--run", RUN)):
            output = said(verb(*command, copy=copy), 2)
            assert f"{run.folder}/config.json: holds recipe " in output
            assert f"its address says {run.arm_digest[:8]}; delete the file and run snakemake again" in output
        assert len(output.splitlines()) == 1
        config.unlink()
        assert not WORK & set(dry(copy)) - {"resolve"}

    def test_empty_and_foreign_files_are_named_and_their_cells_missing(self, copy: Path) -> None:
        ddcl, simsiam = (run_of(copy, RUN.replace("ddcl", name)) for name in ("ddcl", "simsiam"))
        (copy / "results" / simsiam.record(target_of(simsiam, "knn"))).write_text('{"cells": []}')
        (copy / "results" / ddcl.folder / "run.json").write_bytes(b"")
        (copy / "results" / simsiam.folder / "history.csv").write_bytes(b"")
        named = (f"{ddcl.folder}/run.json", f"{simsiam.folder}/history.csv")
        output = said(verb("collect", copy=copy), 2)
        assert all(f"results/{name}: " in output for name in named)
        said(verb("collect", "--partial", copy=copy))
        assert set(pd.read_parquet(copy / "results/records.parquet")["status"]) <= {"missing", "failed"}
        assert "run.json: summary of a training is not valid JSON" in said(verb("status", copy=copy))

    def test_code_of_another_day_without_metadata(self, copy: Path) -> None:
        shutil.rmtree(copy / ".snakemake")
        replace(copy / "ddcl/evaluate/knn.py", "queries = ", "queries: torch.Tensor = ")
        assert dry(copy) == {}
        said_so = said(verb("collect", copy=copy))
        assert "0 of 2 runs were trained, and" in said_so
        for command in (("table", "knn"), ("report",)):
            said(verb(*command, copy=copy))
        table = (copy / "results/tables/knn.md").read_text()
        page = (copy / "results/report/index.html").read_text()
        assert "made by other code" in table
        assert "made by other code" in page
        assert "1 of them, made by other code" in said(verb("status", copy=copy))
        assert "other code" not in (copy / "results/tables/knn.csv").read_text().splitlines()[0]

    def test_only_what_no_plan_names_is_deleted(self, known: Known, tmp_path: Path) -> None:
        copy = duplicate(known.then_b, tmp_path / "project")
        of_b = {run_of(copy, RUN).folder, run_of(copy, RUN.replace("ddcl", "simsiam")).folder}
        assert "0.0 MB in 0 folders" in said(verb("clean", "--unused", copy=copy))
        said(verb("resolve", copy=copy))  # A again; B is given up
        (plan,) = (copy / "results/plans").glob("B-*.json")
        plan.unlink()
        before = tree(copy / "results")
        output = said(verb("clean", "--unused", copy=copy), 2)
        assert "nothing was deleted; add --yes if there is nobody to ask" in output
        assert all(re.search(rf"\d\.\d MB  results/{folder}$", output, re.MULTILINE) for folder in of_b)
        assert tree(copy / "results") == before
        said(verb("clean", "--unused", "--yes", copy=copy))
        beside = {folder.replace("runs/", place, 1) for folder in of_b for place in ("logs/", "costs/")}
        gone = {name for name in before if name not in tree(copy / "results")}
        assert gone
        assert {re.sub(r"(/seed\d+)/.*", r"\1", name) for name in gone} <= of_b | beside
        assert not any((copy / "results" / folder).exists() for folder in of_b)

    def test_an_archive_in_an_empty_folder(self, known: Known, fresh: Path, tmp_path: Path) -> None:
        archive = tmp_path / "a.zip"
        said(verb("export", "--output", str(archive), copy=known.a))
        with zipfile.ZipFile(archive) as packed:
            names = {name for name in packed.namelist() if name.startswith(("tables/", "figures/", "report/"))}
        tables = {f"tables/knn.{end}" for end in ("csv", "md", "tex", "html")} | {"tables/README.md"}
        figures = {f"figures/{name}.{end}" for name in FIGURES for end in ("png", "pdf", "svg")}
        assert names == tables | figures | {"report/index.html"}
        copy = duplicate(fresh, tmp_path / "project")
        said(verb("import", str(archive), copy=copy))
        assert not WORK & set(dry(copy))
        assert {rule: n for rule, n in dry(copy, *B).items() if rule in OF_B} == OF_B
        said(snakemake(copy=copy))
        assert title(copy) == "A"
        assert (copy / TABLE).read_bytes() == (known.a / TABLE).read_bytes()
        # the archive has no images: a new training asks for them, and what is finished stays so
        said(verb("resolve", "--suite", "b", "--results", "elsewhere", copy=copy))
        new = read_plan(copy / "elsewhere").run(RUN).folder
        assert "`ddcl prepare digits` to create them" in said(
            verb("pretrain", "--run", f"elsewhere/{new}", copy=copy), 2
        )
        said(verb("prepare", "digits", copy=copy))
        assert dry(copy) == {}

    def test_a_suite_without_claims_shows_none(self, smoke: Finished, known: Known) -> None:
        """Before it, the same folder held the smoke suite, which has claims and pictures."""
        assert (smoke.copy / "results/tables/claims.csv").exists()
        assert 'href="../tables/claims' in (smoke.copy / "results/report/index.html").read_text()
        page = (known.a / "results/report/index.html").read_text()
        assert "claims." not in page
        assert "macros.tex" not in page
        assert {path.stem for path in (known.a / "results/tables").iterdir()} == {"knn", "README"}
        assert {path.stem for path in (known.a / "results/figures").iterdir()} == FIGURES
        assert {read_json(path, "plan")["suite"] for path in (known.a / "results/plans").iterdir()} == {"smoke", "A"}
        assert target_of(run_of(known.a, RUN), "knn") == target_of(run_of(smoke.copy, RUN), "knn")
