"""Where a number comes from: versions, commit, device, and the job that made it.

It contains no times, so that equal runs give equal records; only `PLACE` may differ between them.
"""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ddcl.base.checkout import ROOT, is_installed
from ddcl.base.yaml_files import Model

PLACE = ("host", "slurm_job_id")  # where it was computed: ignored when records of two runs are compared
PACKAGES = ("ddcl-suite", "torch", "torchvision", "timm", "numpy", "scikit-learn", "pandas", "snakemake")


@cache
def _git(*args: str) -> str | None:
    if is_installed():  # where it lies may be in another project's checkout
        return None
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def slurm_job_id() -> str | None:
    """Return the number of the Slurm job that this process belongs to, if there is one."""
    return os.environ.get("SLURM_JOB_ID")


class Provenance(Model):
    """The origin of a result.

    recipe_digest: of the run. code_digest: of the code of the stage that wrote it. versions: of Python and packages;
    None for a package that is not installed. git_commit, git_dirty: None outside a checkout; dirty: files differ from
    the commit.
    """

    recipe_digest: str
    code_digest: str
    versions: dict[str, str | None]
    git_commit: str | None
    git_dirty: bool | None
    device: str
    host: str
    slurm_job_id: str | None


def provenance(device: str, recipe_digest: str, code_digest: str) -> Provenance:
    """Return the provenance of what this process writes."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    versions: dict[str, str | None] = {"python": platform.python_version()}
    return Provenance(
        recipe_digest=recipe_digest,
        code_digest=code_digest,
        versions=versions | {name: _version(name) for name in PACKAGES},
        git_commit=_git("rev-parse", "HEAD"),
        git_dirty=None if status is None else bool(status),
        device=device,
        host=platform.node(),
        slurm_job_id=slurm_job_id(),
    )
