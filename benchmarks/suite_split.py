"""Where the time of a suite goes: `python benchmarks/suite_split.py NAME WALL_SECONDS`, after it, in the root.

WALL_SECONDS: what ``time snakemake …`` said. Reads results/costs, where each job says what it cost, and writes
benchmarks/results/NAME_split.csv. Seconds are summed over jobs; as many ran at a time as there are cores. Start-up is
the time until the libraries of the job are imported; Python's own start, before it, counts among all else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd

from ddcl.plan.job_cost import read_costs


def main(name: str, wall_seconds: float) -> None:
    """Print and write the split."""
    costs, cores = pd.DataFrame(map(dict, read_costs(Path("results")))), os.cpu_count() or 1
    if costs.empty:
        sys.exit("results/costs: no job said what it cost; run a suite first")
    rows = [
        {"part": stage, "jobs": len(jobs), "seconds": jobs["seconds"].sum()}
        | {"of which start-up": jobs["start_seconds"].sum(), "CPU seconds": jobs["cpu_seconds"].sum()}
        | {"peak MB of one job": jobs["peak_mb"].max()}
        for stage, jobs in costs.groupby("stage")
    ]
    training = costs.loc[costs["stage"] == "pretrain", "images_seconds"].sum()
    rest = wall_seconds * cores - costs["seconds"].sum()
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
