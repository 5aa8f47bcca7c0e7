"""A dry run of the whole paper: the project's Snakefile against an empty one of the same shape.

The empty one has the same rules, wildcards, files and logs, and constants where the project has functions,
a checked suite and digests of code: what is left is Snakemake's own time. Both are timed as whole processes, from start
to exit.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Ratio, in_turns, repeats_from_arguments, write

from ddcl.plan.suite import Suite

ROOT = Path(__file__).parent.parent
SUITE = "config/suites/paper.yaml"
RULE = """
rule {name}:
    input:
        {inputs}
    output:
        {outputs}
    log:
        "results/logs/{log}.log",
    threads: 1
    resources:
        mem_mb=1000,
    params:
        a="constant",
        b="constant",
    shell:
        "true"
"""
RUN = "results/runs/{dataset}/{variant}/{augmentation}/seed{seed}"
NAME = "{dataset}/{variant}/{augmentation}/seed{seed}"
DATA = '"results/data/{%s}/manifest.json", "results/data/{%s}/splits"'
OWN = DATA % ("dataset", "dataset")
OTHER = DATA % ("eval_dataset", "eval_dataset")


def empty_snakefile(suite: Suite) -> str:
    """Return a Snakefile with the suite's jobs and files, and no logic."""
    record_files = [
        f"results/runs/{name}/{file}"
        for name, run in suite.runs.items()
        for file in (
            "run.json",
            "history.csv",
            *(f"on/{dataset}/{evaluation}.json" for dataset, own in run.evaluations.items() for evaluation in own),
        )
    ]
    names = ("dataset", "eval_dataset", "variant", "augmentation")
    text = f'RECORDS = {record_files!r}\nrule all:\n    input:\n        "results/records.parquet",\n'
    text += "wildcard_constraints:\n" + "".join(f'    {name}="[a-z0-9_]+",\n' for name in names)
    text += '    seed="[0-9]+",\n'
    recipe, checkpoint = f'"{RUN}/config.json"', f'"{RUN}/checkpoint.pt"'
    features = f'"{RUN}/on/{{eval_dataset}}/features"'
    rules = {
        "collect": ("RECORDS", '"results/records.parquet"', "collect"),
        "prepare": (
            "",
            OWN.replace('"results/data/{dataset}/splits"', 'directory("results/data/{dataset}/splits")'),
            "{dataset}",
        ),
        "resolve": ("", recipe, f"{NAME}/resolve"),
        "pretrain": (f"{recipe}, {OWN}", f'{checkpoint}, "{RUN}/history.csv", "{RUN}/run.json"', f"{NAME}/pretrain"),
        "extract": (
            f'{recipe}, {checkpoint}, "results/data/{{dataset}}/manifest.json", {OTHER}',
            f"directory({features})",
            f"{NAME}/extract_{{eval_dataset}}",
        ),
    }
    for name in suite.evaluations:
        inputs = {"features": features, "images": f'{checkpoint}, "results/data/{{dataset}}/manifest.json", {OTHER}'}
        needed = ", ".join([recipe, *(inputs[kind] for kind in suite.protocol(name).inputs)])
        outputs = f'"{RUN}/on/{{eval_dataset}}/{name}.json", "{RUN}/on/{{eval_dataset}}/{name}_predictions.npz"'
        rules[name] = (needed, outputs, f"{NAME}/{name}_{{eval_dataset}}")
    for name, (needed, outputs, log) in rules.items():
        text += RULE.format(name=name, inputs=needed, outputs=outputs, log=log)
    return text


def dry_run(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Return seconds and peak megabytes of a dry run."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "--cores", "2", *arguments]
    start, peak_kb = time.perf_counter(), 0
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:  # getrusage would count this process, from which the other is forked
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            peak_kb = max([peak_kb, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        log.seek(0)
        if process.returncode:
            raise RuntimeError(log.read().decode())
    return seconds, peak_kb / 1024


def measure(repeats: int) -> list[Ratio]:
    """Seconds of both, and the memory of the larger (that of the project)."""
    suite = Suite.load(ROOT / SUITE)
    memory: dict[str, list[float]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Snakefile").write_text(empty_snakefile(suite), encoding="utf-8")

        def path(name: str, arguments: list[str], folder: Path) -> float:
            seconds, megabytes = dry_run(arguments, folder)
            memory[name].append(megabytes)
            return seconds

        paths = {
            "ours": lambda: path("ours", ["--configfile", SUITE], ROOT),
            "peer": lambda: path("peer", [], folder),
        }
        found = in_turns(paths, repeats, "dry run")
    what = f"snakemake -n of the paper, {len(suite.plan.runs)} runs"
    return [
        Ratio(what, "s", found["ours"], found["peer"], "below 1.25"),
        Ratio(f"{what}, peak memory", "MB", memory["ours"][1:], memory["peer"][1:], "report"),
    ]


if __name__ == "__main__":
    write("dag", measure(repeats_from_arguments(5, __doc__)))
