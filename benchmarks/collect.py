"""Ten thousand records, made up: seconds and memory of `ddcl collect`, and of all tables of such a suite.

Whole processes are timed, from start to exit, after the files were written. The peer is the least that any reader must
do: parse the same JSON and CSV files, and keep nothing.
"""

from __future__ import annotations

import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import Ratio, in_turns, repeats_from_arguments, write

from ddcl.base.files import write_json, write_text
from ddcl.plan.digests import evaluate_digest
from ddcl.plan.suite import Suite
from ddcl.report.collect import expected_cells, run_folder
from ddcl.schema.recipes import read_evaluation

ROOT = Path(__file__).parent.parent
VARIANTS = ["ddcl", "ddcl_preg", "ddcl_sym", "ddcl_w0", "ddcl_w10", "ddcl_f50", "ddcl_f90", "simsiam", "barlow_twins"]
SUITE = {
    "suite": "ten_thousand",
    "title": "made up",
    "description": "made up",
    "runs": [
        {"datasets": ["cifar10", "cifar100"], "variants": VARIANTS, "augmentations": ["baug", "caug", "caug_plus"]}
        | {"seeds": list(range(62))}
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
PEER = """
import json, pathlib, sys, csv
for path in pathlib.Path(sys.argv[1]).rglob("*.json"):
    json.loads(path.read_text())
for path in pathlib.Path(sys.argv[1]).rglob("*.csv"):
    list(csv.reader(path.open()))
"""


def make_run(run: dict[str, Any], results: Path, draw: random.Random) -> int:
    """Write summary, history and records of a run; return how many records."""
    folder = run_folder(results, run)
    keys = {name: run[name] for name in ("dataset", "variant", "augmentation", "seed")}
    digests = {"recipe_digest": run["recipe_digest"], "checkpoint_digest": "c" * 16, "git_commit": "0" * 40}
    write_json(folder / "run.json", keys | digests | {"status": "ok", "message": "", "epochs": 200, "seconds": 9000.0})
    lines = ["epoch,seconds,loss,lr,knn_top1,std_ratio,effective_rank"]
    for epoch in range(201):
        knn = f"{0.9 - 0.5 / (1 + epoch) + draw.gauss(0, 0.002)}" if epoch % 4 == 0 else ""
        lines.append(f"{epoch},{45.0 * epoch},{-0.9 + draw.random() / 100},0.03,{knn},{draw.random()},{draw.random()}")
    write_text(folder / "history.csv", "\n".join(lines) + "\n")
    for target in run["targets"]:
        recipe = read_evaluation(target["evaluation"])[1]
        cells = [
            {"part": part, "perturbation": perturbation, "metric": metric, "n": 10000, "n_draws": 10}
            | {"value": min(1.0, draw.gauss(0.9, 0.004)), "sd_draws": 0.001}
            for part, perturbation, metric in expected_cells(target)
        ]
        record = {"schema": 2, "run": keys, "evaluation": recipe.model_dump(), "eval_dataset": target["eval_dataset"]}
        record |= {"status": "ok", "cells": cells, "chosen": {}}
        record["provenance"] = digests | {"code_digest": evaluate_digest(recipe.protocol), "host": "n", "device": "d"}
        write_json(folder / "on" / target["eval_dataset"] / f"{recipe.evaluation}.json", record)
    return len(run["targets"])


def make(results: Path) -> tuple[int, int]:
    """Write the plan and the files of all its runs; return how many records and cells."""
    suite = Suite(SUITE, "benchmark")
    plan = suite.plan()
    write_json(results / "suite.json", plan)
    draw = random.Random(0)
    return sum(make_run(run, results, draw) for run in plan["runs"]), suite.n_cells()


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


def measure(repeats: int) -> list[Ratio]:
    """Return seconds and memory of collecting, of all tables, and of reading the files and no more."""
    with tempfile.TemporaryDirectory() as name:
        results = Path(name)
        records, cells = make(results)
        ddcl = [sys.executable, "-m", "ddcl"]
        commands = {
            "collect": [*ddcl, "collect", "--results", name],
            "tables": [*ddcl, "table", "--results", name],
            "read": [sys.executable, "-c", PEER, str(results / "runs")],
        }
        spent = {path: Spent() for path in commands}
        paths = {path: (lambda path=path: timed(commands[path], spent[path])) for path in commands}
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
    write("collect", measure(repeats_from_arguments(3, __doc__)))
