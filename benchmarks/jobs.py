"""A real run of 1,000 and of 5,000 jobs that do nothing: the project's rules against an empty Snakefile of their shape.

Ours is the Snakefile with all that the rules ask of the suite; the empty one is that of `dag.py`. The commands of both
do nothing, and the outputs are touched. Both run up to the collected records, on two cores, from start to exit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dag import ROOT, empty_snakefile
from measure import Ratio, in_turns, repeats_from_arguments, write

from ddcl.plan.suite import Suite

SEEDS = {1000: 34, 5000: 167}  # jobs: seeds of six arms, each run of which is five jobs
SUITE = """
suite: jobs
title: Jobs that do nothing
description: Only to be counted.
runs:
  - datasets: [digits]
    variants: [ddcl, simsiam]
    augmentations: [baug, caug, caug_plus]
    seeds: {seeds}
evaluations: [linear, knn]
perturbations: [none, color]
tables: [linear]
"""
# Snakemake runs each rule's command as it is written, but its `exec` is a function that does nothing.
IDLE = """
from pathlib import Path
include: {snakefile!r}
shell.prefix("exec() {{{{ :; }}}}; ")

def with_outputs(command):
    def run(input, output, *others):
        command(input, output, *others)
        for path in map(Path, output):
            path.touch() if path.suffix else path.mkdir()
    return run

for own in workflow.rules:
    if own.name != "all":
        own.run_func = with_outputs(own.run_func)
"""


def run(folder: Path, arguments: list[str]) -> float:
    """Return the seconds of a run in an empty folder below `folder`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(dir=folder) as directory, tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "snakemake", "--quiet", "--cores", "2", "--directory", directory, *arguments]
        command += ["--scheduler", "greedy", "--", "results/records.parquet"]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
        seconds = time.perf_counter() - start
        log.seek(0)
        if done.returncode:
            raise RuntimeError(log.read().decode())
    return seconds


def measure(jobs: int, repeats: int) -> Ratio:
    """Seconds of both."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        suite, empty = folder / "jobs.yaml", folder / "Empty"
        suite.write_text(SUITE.format(seeds=list(range(SEEDS[jobs]))), encoding="utf-8")
        empty.write_text(empty_snakefile(Suite.load(suite)), encoding="utf-8")
        for name, snakefile in (("Ours", ROOT / "Snakefile"), ("Peer", empty)):
            (folder / name).write_text(IDLE.format(snakefile=str(snakefile)), encoding="utf-8")
        paths = {
            "ours": lambda: run(folder, ["--snakefile", str(folder / "Ours"), "--configfile", str(suite)]),
            "peer": lambda: run(folder, ["--snakefile", str(folder / "Peer")]),
        }
        found = in_turns(paths, repeats, f"{jobs} jobs", unmeasured=0)
    return Ratio(f"snakemake, {jobs} jobs that do nothing", "s", found["ours"], found["peer"], "below 1.25")


if __name__ == "__main__":
    rounds = repeats_from_arguments(5, __doc__)
    write("jobs", [measure(jobs, rounds) for jobs in SEEDS])
