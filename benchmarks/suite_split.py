"""Where the time of a suite goes: `python benchmarks/suite_split.py NAME WALL_SECONDS`, after it, in the root.

WALL_SECONDS: what ``time snakemake …`` said. Reads results/benchmarks (Snakemake's own measurements per job) and
results/runs.json, and writes benchmarks/results/NAME_split.csv. Seconds are summed over jobs; as many ran at a time as
there are cores. Start-up is the time until the libraries of the job are imported, measured here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

IMPORTS = dict.fromkeys(("linear", "knn"), "import torch")
OTHERS = "import torch, timm.models.resnet"


def import_seconds(statement: str) -> float:
    """Return the median of five fresh interpreters that run `statement`."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[2]


def job_times(results: Path) -> pd.DataFrame:
    """Return one row per job, with its rule: the file's name without the data set that it was evaluated on."""
    datasets = [path.parent.name for path in (results / "data").glob("*/manifest.json")]
    frames = []
    for path in (results / "benchmarks").glob("*/*/*/*/*.tsv"):
        suffix = next((f"_{name}" for name in datasets if path.stem.endswith(f"_{name}")), "")
        frames.append(pd.read_csv(path, sep="\t").assign(rule=path.stem.removesuffix(suffix)))
    return pd.concat(frames)


def main(name: str, wall_seconds: float) -> None:
    """Print and write the split."""
    results, cores = Path("results"), os.cpu_count() or 1
    times = job_times(results)
    start_up = {statement: import_seconds(statement) for statement in {*IMPORTS.values(), OTHERS}}
    rows = [
        {"part": rule, "jobs": len(jobs), "seconds": jobs["s"].sum()}
        | {"of which start-up": start_up[IMPORTS.get(str(rule), OTHERS)] * len(jobs)}
        | {"peak MB of one job": jobs["max_rss"].max()}
        for rule, jobs in times.groupby("rule")
    ]
    training = sum(run["seconds"] for run in json.loads((results / "runs.json").read_text()))
    rest = wall_seconds * cores - times["s"].sum()
    rows += [
        {"part": "of pretrain: optimisation", "seconds": training},
        {"part": "all else (resolve, prepare, collect, tables, figures, page, Snakemake)", "seconds": rest},
        {"part": f"wall clock, {cores} cores", "seconds": wall_seconds},
    ]
    frame = pd.DataFrame(rows).round(1)
    out = Path(f"benchmarks/results/{name}_split.csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out, index=False)
    print(frame.to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
