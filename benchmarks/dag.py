"""A dry run of the whole paper (4,700 jobs): the project's Snakefile against an empty one of the same shape.

The empty one has the same rules, files, logs and benchmarks between them, and constants where the project has functions
and digests: what is left is Snakemake's own time. Both are timed as whole processes, from start to exit.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Ratio, in_turns, repeats_from_arguments, write

from ddcl.grid import Suite

ROOT = Path(__file__).parent.parent
SUITE = "config/suites/paper.yaml"
RULE = """
rule {name}:
    input:
        {inputs}
    output:
        {outputs}
    log:
        "logs/{log}",
    benchmark:
        "benchmarks/{log}"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        a="constant",
        b="constant",
    shell:
        "true"
"""
RUN = "results/runs/{run}"


def empty_snakefile(suite: Suite) -> str:
    """Return a Snakefile with the suite's jobs and no logic."""
    record_files = [
        f"results/runs/{name}/on/{dataset}/{evaluation}.json"
        for name, run in suite.runs.items()
        for dataset, evaluations in run.evaluations.items()
        for evaluation in evaluations
    ]
    text = f"RECORDS = {record_files!r}\nRUNS = {[f'results/runs/{name}/run.json' for name in suite.runs]!r}\n"
    text += 'rule all:\n    input:\n        "results/records.parquet",\n'
    text += 'wildcard_constraints:\n    run="[^/]+/[^/]+/[^/]+/seed[0-9]+",\n    data="[a-z0-9_]+",\n'
    rules = {
        "collect": ("RECORDS, RUNS", '"results/records.parquet"', "collect"),
        "prepare": ("", '"results/data/{data}/manifest.json", directory("results/data/{data}/splits")', "{data}"),
        "resolve": ("", f'"{RUN}/config.json"', "{run}/resolve"),
        "pretrain": (
            f'"{RUN}/config.json", lambda w: "results/data/" + w.run.split("/")[0] + "/manifest.json"',
            f'"{RUN}/checkpoint.pt", "{RUN}/history.csv", "{RUN}/run.json"',
            "{run}/pretrain",
        ),
        "extract": (
            f'"{RUN}/config.json", "{RUN}/checkpoint.pt", "results/data/{{data}}/manifest.json"',
            f'directory("{RUN}/on/{{data}}/features")',
            "{run}/{data}/extract",
        ),
    }
    for name in suite.evaluations:
        needs = suite.protocol(name).inputs
        inputs = [f'"{RUN}/config.json"']
        inputs += [f'"{RUN}/on/{{data}}/features"'] if "features" in needs else []
        inputs += [f'"{RUN}/checkpoint.pt"', '"results/data/{data}/manifest.json"'] if "images" in needs else []
        outputs = f'"{RUN}/on/{{data}}/{name}.json", "{RUN}/on/{{data}}/{name}.npz"'
        rules[name] = (", ".join(inputs), outputs, f"{{run}}/{{data}}/{name}")
    for name, (needed, outputs, log) in rules.items():
        text += RULE.format(name=name, inputs=needed, outputs=outputs, log=log)
    return text


def dry_run(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Return seconds and megabytes of a dry run."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "--cores", "2", *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(output.decode())
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def measure(repeats: int) -> list[Ratio]:
    """Seconds of both, and the memory of the larger (that of the project)."""
    suite = Suite.load(ROOT / SUITE)
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Snakefile").write_text(empty_snakefile(suite), encoding="utf-8")

        def ours() -> float:
            seconds, megabytes = dry_run(["--configfile", SUITE], ROOT)
            memory.append(megabytes)
            return seconds

        found = in_turns({"ours": ours, "peer": lambda: dry_run([], folder)[0]}, repeats, "dry run")
    what = "snakemake -n of the paper, 4,700 jobs"
    return [
        Ratio(what, "s", found["ours"], found["peer"], "below 1.25"),
        Ratio(f"{what}, peak memory", "MB", memory[1:], memory[1:], "report"),
    ]


if __name__ == "__main__":
    write("dag", measure(repeats_from_arguments(5, __doc__)))
