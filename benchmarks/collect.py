"""Ten thousand records, made up: seconds and memory of `ddcl collect`, and of all tables of such a suite.

Whole processes are timed, from start to exit, after the files were written. The peer is the least that any reader must
do: parse the same JSON and CSV files, and keep nothing.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from measure import Ratio, in_turns, repeats_from_arguments, write

from ddcl.plan.suite import Suite

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.unit.written import write_results  # noqa: E402

VARIANTS = ["ddcl", "ddcl_preg", "ddcl_sym", "ddcl_w0", "ddcl_w10", "ddcl_f50", "ddcl_f90", "simsiam", "barlow_twins"]
SUITE: dict[str, Any] = {
    "suite": "ten_thousand",
    "title": "made up",
    "description": "made up",
    "runs": [
        {"datasets": ["cifar10", "cifar100"], "variants": VARIANTS, "augmentations": ["baug", "caug", "caug_plus"]}
    ],
    "evaluations": ["linear", "knn200", "linear_online"],
    "perturbations": ["none", "color", "color_flip", "color_rotate", "color_rotate_elastic"],
    "draws": 10,
    "random_subsets": {"draws": 20, "dir_frac": 0.8},
    "tables": [
        *("linear", "knn", "knn_neighbours", "linear_online", "linear_best_test", "robustness", "robustness_seen"),
        *("augmentation", "augmentation_ablation", "ablations", "transfer", "convergence", "published"),
    ],
}
SEEDS = 62  # so ten thousand records


def suite_of(seeds: int) -> dict[str, Any]:
    """Return the suite with so many seeds."""
    return SUITE | {"runs": [block | {"seeds": list(range(seeds))} for block in SUITE["runs"]]}


PEER = """
import json, pathlib, sys, csv
for path in pathlib.Path(sys.argv[1]).rglob("*.json"):
    json.loads(path.read_text())
for path in pathlib.Path(sys.argv[1]).rglob("*.csv"):
    list(csv.reader(path.open()))
"""


def make(results: Path, seeds: int) -> tuple[int, int]:
    """Write the plan and the files of all its runs; return how many records and cells."""
    suite = Suite(suite_of(seeds), "benchmark")
    curve = {epoch: 0.7 - 0.5 / (1 + epoch) for epoch in range(201)}
    write_results(suite.plan, results, knn=curve)
    return sum(len(run.targets) for run in suite.plan.runs), suite.n_cells()


@dataclass
class Spent:
    """What each run of a command spent besides time: megabytes at the peak, and seconds of all processors."""

    memory: list[float] = field(default_factory=list)
    processors: list[float] = field(default_factory=list)


def processor_seconds() -> float:
    """Return what all finished processes that this one started have used of the processors."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(command: list[str], spent: Spent) -> float:
    """Run a command; note what it spent and return its seconds."""
    start, used, peak_kb = time.perf_counter(), processor_seconds(), 0
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        peak_kb = max([peak_kb, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    spent.memory.append(peak_kb / 1024)
    spent.processors.append(processor_seconds() - used)
    return time.perf_counter() - start


def measure(repeats: int, seeds: int = SEEDS) -> list[Ratio]:
    """Return seconds and memory of collecting, of all tables, and of reading the files and no more."""
    with tempfile.TemporaryDirectory() as name:
        results = Path(name)
        records, cells = make(results, seeds)
        ddcl = [sys.executable, "-m", "ddcl"]
        commands = {
            "collect": [*ddcl, "collect", "--results", name],
            "tables": [*ddcl, "table", "--results", name],
            "read": [sys.executable, "-c", PEER, str(results / "runs")],
        }
        spent = {path: Spent() for path in commands}
        paths = {path: partial(timed, commands[path], spent[path]) for path in commands}
        found = in_turns(paths, repeats, "collect")
    ours = (spent["collect"], spent["tables"])
    whole = [sum(pair) for pair in zip(found["collect"], found["tables"], strict=True)]
    used = [sum(pair) for pair in zip(*(own.processors[1:] for own in ours), strict=True)]
    peaks = [max(pair) for pair in zip(*(own.memory[1:] for own in ours), strict=True)]
    what = f"{records:,} records, {cells:,} cells"
    read = spent["read"]
    return [
        Ratio(f"{what}: collect", "s", found["collect"], found["read"], "report"),
        Ratio(f"{what}: collect and {len(SUITE['tables'])} tables", "s", whole, found["read"], "ours below 30 s"),
        Ratio(f"{what}: the same in processor time", "s", used, read.processors[1:], "report"),
        Ratio(f"{what}: peak memory", "MB", peaks, read.memory[1:], "ours below 1024 MB"),
    ]


if __name__ == "__main__":
    write("collect", measure(repeats_from_arguments(5, __doc__)))
