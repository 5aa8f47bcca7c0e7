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

from ddcl.base import sealed
from ddcl.base.files import file_sha256, write_json, write_text
from ddcl.base.provenance import provenance
from ddcl.plan.digests import evaluate_digest, extract_digest, pretrain_digest
from ddcl.plan.plan import PlannedRun, Target, write_plan
from ddcl.plan.suite import Suite
from ddcl.schema import history, run_summary
from ddcl.schema.history import History
from ddcl.schema.manifest import Manifest, SplitEntry
from ddcl.schema.recipes import Recipe, data_recipe, read_evaluation
from ddcl.schema.record import Cell, Record, predictions_path
from ddcl.schema.run_summary import RunSummary
from ddcl.schema.suites import NormalisationConfig

ROOT = Path(__file__).parent.parent
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


def write_manifest(folder: Path, dataset: str) -> str:
    """Write the manifest of a data set without its images; return its seal."""
    split = SplitEntry(n=10000, n_per_class=(1000,) * 10, labels_sha256="l", images_sha256="i")
    made = Manifest(
        dataset=dataset,
        data=data_recipe(dataset),
        kind="arrays",
        splits={"train": split, "test": split},
        normalisation=NormalisationConfig(mean=[0.5] * 3, std=[0.25] * 3),
    )
    sealed.write(folder / "manifest.json", made)
    return made.seal


def history_of(draw: random.Random) -> History:
    """Return 200 epochs."""
    rows = []
    for epoch in range(201):
        row = {"epoch": epoch, "seconds": 45.0 * epoch, "loss": -0.9 + draw.random() / 100, "lr": 0.03}
        row |= {"std_ratio": draw.random(), "effective_rank": draw.random()}
        rows.append(row | ({} if epoch % 4 else {"knn_top1": 0.9 - 0.5 / (1 + epoch) + draw.gauss(0, 0.002)}))
    return History.of(rows)


def make_run(run: PlannedRun, recipe: Recipe, results: Path, seals: dict[str, str], draw: random.Random) -> int:
    """Write recipe, summary, history and records of a run; return how many records."""
    folder = results / run.folder
    write_json(folder / "config.json", recipe.model_dump())
    history.write(folder / history.FILE, history_of(draw))
    made = provenance("d", recipe.digest, pretrain_digest(run.method, run.ops))
    summary = RunSummary(
        run=recipe.key,
        status="ok",
        message="",
        epochs=200,
        precision="bf16",
        n_parameters=1,
        seconds=9000.0,
        history_sha256=file_sha256(folder / history.FILE),
        checkpoint_sha256="s",
        checkpoint_digest="c" * 16,
        manifest_seal=seals[run.dataset],
        provenance=made,
    )
    sealed.write(folder / run_summary.FILE, summary)
    for target in run.targets:
        make_record(run, target, summary, results, seals, draw)
    return len(run.targets)


def make_record(
    run: PlannedRun, target: Target, summary: RunSummary, results: Path, seals: dict[str, str], draw: random.Random
) -> None:
    """Write a record, and a small file in the place of its predictions."""
    path, recipe = results / run.record(target), read_evaluation(target.evaluation)[1]
    write_text(predictions_path(path), "predictions")
    cells = [
        Cell(**cell._asdict(), value=min(1.0, draw.gauss(0.9, 0.004)), n=10000, n_draws=10, sd_draws=0.001)
        for cell in target.expected()
    ]
    record = Record(
        run=summary.run,
        evaluation=recipe,
        eval_dataset=target.eval_dataset,
        digest=target.digest,
        perturbations=tuple(target.perturbations),
        subsets=None,
        status="ok",
        chosen={},
        cells=tuple(cells),
        checkpoint_digest=summary.checkpoint_digest,
        features_seal="f" if target.features else None,
        features_code=extract_digest(run.method, target.features_ops) if target.features else None,
        trained_on_seal=summary.manifest_seal,
        evaluated_on_seal=seals[target.eval_dataset],
        predictions_sha256=file_sha256(predictions_path(path)),
        provenance=provenance("d", run.recipe_digest, evaluate_digest(recipe.protocol)),
    )
    sealed.write(path, record)


def make(results: Path, seeds: int) -> tuple[int, int]:
    """Write the plan and the files of all its runs; return how many records and cells."""
    suite = Suite(suite_of(seeds), "benchmark")
    plan, draw = suite.plan, random.Random(0)
    write_plan(plan, results)
    folders = dict(zip(plan.data, plan.data_folders, strict=True))
    seals = {name: write_manifest(results / folder, name) for name, folder in folders.items()}
    return sum(make_run(run, suite.recipes[run.name], results, seals, draw) for run in plan.runs), suite.n_cells()


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
