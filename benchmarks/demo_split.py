"""Where the time of `make demo` goes: `python benchmarks/demo_split.py WALL_SECONDS`, after it, in the project's root.

WALL_SECONDS: what ``time make demo`` said, without the set-up. Reads results/benchmarks (Snakemake's own measurements
per job) and results/runs.json, and writes benchmarks/results/demo_split.csv. Seconds are summed over jobs; two ran at a
time. Start-up is the time until torch, and timm or scikit-learn, are imported, measured here for each kind of job.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

IMPORTS = {
    "pretrain": "import torch, timm.models.resnet",
    "extract": "import torch, timm.models.resnet",
    "linear": "import sklearn.linear_model",
    "knn": "import torch",
}


def import_seconds(statement: str) -> float:
    """Return the median of five fresh interpreters that run `statement`."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[2]


def main(wall_seconds: float) -> None:
    """Print and write the split."""
    results = Path("results")
    rows = []
    for rule, statement in IMPORTS.items():
        files = list((results / "benchmarks").glob(f"*/*/*/*/{rule}.tsv"))
        jobs = pd.concat([pd.read_csv(file, sep="\t") for file in files])
        start_up = import_seconds(statement) * len(jobs)
        rows.append(
            {"part": rule, "jobs": len(jobs), "seconds": jobs["s"].sum(), "of which start-up": start_up}
            | {"peak MB of one job": jobs["max_rss"].max()}
        )
    frame = pd.DataFrame(rows)
    training = sum(run["seconds"] for run in json.loads((results / "runs.json").read_text()))
    total = frame["seconds"].sum()
    rows += [
        {"part": "of pretrain: optimisation", "seconds": training},
        {"part": "all else (resolve, collect, tables, figures, page, Snakemake)", "seconds": wall_seconds * 2 - total},
        {"part": f"wall clock, {os.cpu_count()} cores", "seconds": wall_seconds},
    ]
    frame = pd.DataFrame(rows).round(1)
    out = Path("benchmarks/results/demo_split.csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out, index=False)
    print(frame.to_string(index=False))


if __name__ == "__main__":
    main(float(sys.argv[1]))
