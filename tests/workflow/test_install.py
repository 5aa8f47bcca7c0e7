"""An installed wheel, without the checkout: a new project of one's own, from `ddcl init` to the page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from setuptools import find_packages

from ddcl.__main__ import main
from ddcl.base.version import VERSION
from ddcl.new_project import new_project
from ddcl.report.exchange.adopt import adopt
from tests.workflow.commands import COPIED, ROOT, planned
from tests.workflow.test_modules import SUITE

PYTHON = (sys.executable, "-P", "-m")
BUILT = (*COPIED, "README.md", "LICENSE")
# what snakedeploy writes for a user, with a repository of this machine in place of one on the network
DEPLOYED = """
from snakemake.utils import min_version

min_version("9.18")


configfile: "config/config.yaml"


module ddcl:
    snakefile:
        gitfile("REPOSITORY", path="workflow/Snakefile", tag="v1")
    config:
        config


use rule * from ddcl
"""


def test_the_list_of_packages_is_whole() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted([*find_packages(str(ROOT), include=["ddcl*", "baselines*"]), "ddcl.project"])


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"ddcl {VERSION}\n")


def test_a_new_project_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert main(["init", str(folder)]) == 0
    assert "config/config.yaml" in capsys.readouterr().out
    assert (folder / "profiles/default/config.yaml").read_text() == (ROOT / "profiles/default/config.yaml").read_text()
    for place in (folder, folder / "README.md"):
        assert main(["init", str(place)]) == 2
        said = capsys.readouterr().err
        assert said == f"ddcl: error: ddcl init: {place}: expected a folder that is empty or does not exist\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in BUILT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    options = ["--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", str(source / "dist"), str(source)], check=True)
    (wheel,) = (source / "dist").glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


def run(*command: str, cwd: Path, code: Path) -> str:
    """Run a command that must succeed, with the package in `code`; return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(code), "DDCL_CONFIG": ""}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_project_made_by_init_runs_to_the_page_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    run(*PYTHON, "ddcl", "init", "my project", cwd=tmp_path, code=installed)
    project = tmp_path / "my project"
    told = run(
        sys.executable,
        "-P",
        "-c",
        "import ddcl.base.checkout as c; print(c.ROOT, c.PROJECT)",
        cwd=project,
        code=installed,
    )
    assert told.split() == [str(installed), str(installed / "ddcl/project")]
    assert "config/config.yaml: 6 runs" in run(*PYTHON, "ddcl", "resolve", "--check", cwd=project, code=installed)
    said = run(*PYTHON, "snakemake", "--cores", "2", cwd=project, code=installed)
    assert "the command `ddcl` of this environment" not in said
    assert (project / "results/report/index.html").is_file()
    assert adopt(project / "results").problems == []
    commit = re.compile('"git_commit":\\s*null')
    assert commit.search(next(project.glob("results/runs/**/knn.json")).read_text())
    assert planned(run(*PYTHON, "snakemake", "-n", cwd=project, code=installed)) == {}


def test_the_project_runs_with_a_checkout_too(tmp_path: Path) -> None:
    new_project(tmp_path / "mine")
    said = run(sys.executable, "-m", "snakemake", "-n", cwd=tmp_path / "mine", code=ROOT)
    assert planned(said)["pretrain"] == 6


@pytest.mark.slow
def test_what_snakedeploy_writes_runs(installed: Path, tmp_path: Path) -> None:
    repository, user = tmp_path / "repository", tmp_path / "user"
    for name in BUILT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        repository.mkdir(exist_ok=True)
        copy(ROOT / name, repository / name)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "all"), ("tag", "v1")):
        subprocess.run([*git, *arguments], cwd=repository, check=True)
    (user / "workflow").mkdir(parents=True)
    (user / "workflow/Snakefile").write_text(DEPLOYED.replace("REPOSITORY", str(repository)))
    shutil.copytree(repository / "config", user / "config")
    (user / "config/config.yaml").write_text(yaml.safe_dump(SUITE))
    run(*PYTHON, "snakemake", "--cores", "2", cwd=user, code=installed)
    assert (user / "results/report/index.html").is_file()
