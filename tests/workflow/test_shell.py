"""What reaches the shell, and which code, programs and folders a job finds: odd names, conda, two clones, read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ddcl.plan.suite import Suite
from tests.workflow.commands import ROOT, copy_project, environment, replace, run, snakemake

pytestmark = pytest.mark.slow
SMOKE = ("--configfile", "config/suites/smoke.yaml")
CONDA = """#!/bin/sh
case "$*" in
  "info --json") echo '{"conda_prefix": "PREFIX", "platform": "linux-64"}' ;;
  "--version") echo "conda 24.9.9" ;;
  "config "*) echo '{"get": {"channel_priority": "strict"}}' ;;
  *create*)
    while [ "$1" != --prefix ]; do shift; done
    mkdir -p "$2/bin"
    printf '#!/bin/sh\\necho "$@" >> PREFIX/made\\nexec PYTHON "$@"\\n' > "$2/bin/python"
    chmod +x "$2/bin/python" ;;
esac
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "a project")


def recipe_file(copy: Path) -> str:
    """A file that is made in a second: a run's recipe."""
    run = Suite.load(copy / "config/suites/smoke.yaml").plan.runs[0]
    return f"results/{run.folder}/config.json"


def test_an_environment_that_conda_makes_is_used(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for conda, whose environment is an interpreter that notes what it is asked to run."""
    prefix = tmp_path / "conda"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/conda").write_text(CONDA.replace("PREFIX", str(prefix)).replace("PYTHON", sys.executable))
    (prefix / "bin/conda").chmod(0o755)
    (prefix / "bin/activate").write_text('export PATH="$1/bin:$PATH"\n')
    monkeypatch.setenv("PATH", f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}")
    target = recipe_file(copy)
    plain = snakemake(*SMOKE, "--", target, copy=copy)
    assert plain.returncode == 0, plain.stdout + plain.stderr
    assert not (prefix / "made").exists()
    made = snakemake(*SMOKE, "--sdm", "conda", "--forcerun", "resolve", "--", target, copy=copy)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "-m ddcl write" in (prefix / "made").read_text()


@pytest.mark.parametrize("name", ["a $(touch X) `touch Y` 'b\" {c} ; d", "~/data", "$ODD/data"])
def test_a_data_root_is_a_folder_and_nothing_else(name: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are told of it by their environment; `~` and variables are expanded by Python, once."""
    monkeypatch.setenv("HOME", str(copy / "a home"))
    monkeypatch.setenv("ODD", "an {odd} value")
    monkeypatch.delenv("DDCL_DATA", raising=False)
    meant = name.replace("~", str(copy / "a home")).replace("$ODD", "an {odd} value")
    text = (copy / "config/suites/smoke.yaml").read_text()
    (copy / "s.yaml").write_text(f"{text}\ndata_root: '{name.replace(chr(39), chr(39) * 2)}'\n")
    replace(
        copy / "workflow/rules/pretrain.smk",
        '"exec python -m ddcl write',
        '"printenv DDCL_DATA > told; exec python -m ddcl write',
    )
    done = snakemake("--configfile", "s.yaml", "--", recipe_file(copy), copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / "told").read_text().strip() == meant
    assert not {"X", "Y", "~", "$ODD"} & {path.name for path in copy.iterdir()}


def test_what_is_given_on_the_command_line_beside_one_file_is_refused(copy: Path) -> None:
    suite = (copy / "config/suites/smoke.yaml").read_text()
    (copy / "twice.yaml").write_text(f"{suite}\ntitle: another\n")
    (copy / "foreign.yaml").write_text("suite: x\nnosuch: 1\n")
    for arguments, message in (
        (("--configfile", "twice.yaml"), "key 'title' is given twice"),
        (("--configfile", "foreign.yaml"), "unknown key 'nosuch'"),
        ((*SMOKE, "config/config.yaml"), "--configfile: expected one suite file, found 2"),
        (("--config", "draws=3"), "--config: a suite is one complete file, found draws"),
        (("--", "results/tables/robustnes.csv"), "unknown table 'robustnes'; did you mean 'robustness'?"),
    ):
        done = snakemake("-n", *arguments, copy=copy)
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert message in said
        assert "Traceback" not in said


def test_the_code_of_another_clone_is_named(copy: Path) -> None:
    """`ddcl` of this environment, typed in another clone; jobs use the clone's code from any folder."""
    replace(copy / "ddcl/verbs.py", "checked, nothing written", "checked by the copy")
    typed = run(
        sys.executable,
        "-P",
        "-c",
        "import sys; from ddcl.__main__ import main; sys.exit(main())",
        *("resolve", "--check"),
        cwd=copy,
    )
    assert f"ddcl: warning: this command runs the code in {ROOT}, not the checkout in {copy}" in typed.stderr
    assert "checked, nothing written" in typed.stdout
    elsewhere = copy.parent / "elsewhere"
    elsewhere.mkdir()
    command = (sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", str(copy / "Snakefile"))
    file = copy / "config/suites/smoke.yaml"
    done = run(*command, "--configfile", str(file), "--", recipe_file(copy), cwd=elsewhere, code=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (elsewhere / recipe_file(copy)).is_file()


def test_a_training_where_neither_code_nor_home_can_be_written(copy: Path, tmp_path: Path) -> None:
    """Compiled code has no folder to be kept in: it is compiled for the job alone. As root, a file is in the way."""
    home, out = tmp_path / "home", tmp_path / "out"
    home.write_text("no folder")
    for folder in copy.rglob("__pycache__"):
        shutil.rmtree(folder)
    (copy / "ddcl/data/__pycache__").write_text("no folder")
    folder = Suite.load(copy / "config/suites/smoke.yaml").plan.runs[0].folder
    env = environment(copy) | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "x"), "PYTHONDONTWRITEBYTECODE": "1"}
    for command in (("resolve", "--suite", "smoke"), ("prepare", "digits"), ("pretrain", "--run", str(out / folder))):
        done = subprocess.run(
            [sys.executable, "-m", "ddcl", *command, "--results", str(out)],
            cwd=copy,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (out / folder / "run.json").is_file()
