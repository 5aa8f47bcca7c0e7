"""The default suite, from nothing to the page, against that of commit 4e96dbf, which had 26 runs and decided nothing.

Each run is in a fresh clone of this checkout, at its last commit or at the old one, with the packages of this
environment, on two cores. The set-up of the environment is not timed. Needs the project's history.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from measure import Ratio, in_turns, repeats_from_arguments, write

ROOT = Path(__file__).resolve().parents[1]
FORMER = "4e96dbf"


def run(commit: str) -> float:
    """Return the seconds of the default suite at a commit."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (["clone", "--quiet", str(ROOT), folder], ["-C", folder, "checkout", "--quiet", commit]):
            subprocess.run(["git", *command], check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "snakemake", "--quiet", "--cores", "2"]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": folder, "PATH": path}, check=True)
        return time.perf_counter() - start


def measure(repeats: int) -> Ratio:
    """Seconds of both, in turns."""
    found = in_turns({commit: partial(run, commit) for commit in (FORMER, "HEAD")}, repeats, "demo", unmeasured=0)
    what = "default suite, 67 runs, against that of commit 4e96dbf, 26 runs"
    return Ratio(what, "s", found["HEAD"], found[FORMER], "at most 1.75")


if __name__ == "__main__":
    write("demo", [measure(repeats_from_arguments(1, __doc__))])
