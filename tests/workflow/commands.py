"""Running the suite's own commands, as a user would, in another folder."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

from ddcl.plan.plan import PlannedRun, Target, read_plan

ROOT = Path(__file__).resolve().parents[2]
COPIED: tuple[str, ...] = ("Snakefile", "workflow", "config", "profiles", "slurm", "workstation", "ddcl", "baselines")
COPIED += ("environment.yml", "pyproject.toml", "CITATION.cff")


def own_environment(folder: Path) -> Path:
    """Make an environment in which packages can be installed, with all that this one has; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin/python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip())
    theirs = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (own / "outer.pth").write_text("".join(theirs), encoding="utf-8")
    return python


def environment(code: Path, python: Path = Path(sys.executable)) -> dict[str, str]:
    """Return an environment with an interpreter's programs first, this one's unless told, and the code of `code`."""
    path = os.pathsep.join((str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]))
    return os.environ | {"PATH": path, "PYTHONPATH": str(code)}


def run(*command: str, cwd: Path, code: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command with this interpreter's programs first and the code of `code`; output is captured."""
    return subprocess.run(
        command, cwd=cwd, env=environment(code), capture_output=True, text=True, timeout=900, check=False
    )


def ddcl(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ddcl``."""
    return run(sys.executable, "-m", "ddcl", *arguments, cwd=cwd)


def snakemake(*arguments: str, copy: Path) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a copy of the project, with the copy's code."""
    return run(sys.executable, "-m", "snakemake", "--cores", "2", *arguments, cwd=copy, code=copy)


def copy_project(target: Path) -> Path:
    """Copy what a run needs to `target`, so that a test may edit it.

    What numba has compiled comes with it: to do that again takes half a minute. What is just being written does not.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("*.pyc*", "*.tmp*"))
        else:
            shutil.copy(source, target / name)
    return target


def replace(path: Path, old: str, new: str) -> None:
    """Replace the one occurrence of `old` in a file."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old!r} stands there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def planned(output: str) -> dict[str, int]:
    """Return the jobs per rule of a dry run."""
    return {rule: int(n) for rule, n in re.findall(r"^(\w+)\s+(\d+)$", output, re.MULTILINE) if rule != "total"}


def run_of(copy: Path, name: str) -> PlannedRun:
    """Return a run of the plan in a copy's results, by its name such as digits/ddcl/caug/seed0."""
    return read_plan(copy / "results").run(name)


def target_of(run: PlannedRun, evaluation: str) -> Target:
    """Return what a run's plan says of an evaluation on the run's own data set."""
    targets = {(target.eval_dataset, target.evaluation): target for target in run.targets}
    return targets[run.dataset, evaluation]
