"""Where a number comes from: versions, commit, device, and the job that made it.

No times here, so that equal runs give equal records; only `PLACE` may differ between them.
"""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PLACE = ("host", "slurm_job_id")  # who computed it: not compared when records of two runs are
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pandas", "snakemake")


@cache
def _git(*args: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True, timeout=10, check=True)
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


def provenance(device: str) -> dict[str, Any]:
    """Return versions, git commit (None outside a checkout), whether the tree was dirty, device, host and Slurm job."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "device": device,
        "host": platform.node(),
        "slurm_job_id": slurm_job_id(),
    }
