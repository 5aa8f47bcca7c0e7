"""Kills at random moments: `make soak`. The records must come out as those of a run that nobody disturbed.

Every stage of a small suite on digits is started and ended by SIGKILL or SIGTERM at a random moment of its duration,
again and again, and so is a whole Snakemake (SIGKILL, which leaves its jobs running, then `--unlock`). Then all is run
to the end. States are saved every 0.6 s, so that half-written ones are met too. Writes one row per kill.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ddcl.base.files import read_json
from ddcl.core.checkpoint import load_checkpoint
from ddcl.plan.addresses import folder_of_run
from tests.workflow.commands import ROOT, copy_project, run_of

SUITE = """
suite: soak
title: Kills at random moments
description: Its numbers mean nothing.
runs:
  - datasets: [digits]
    variants: [ddcl]
    augmentations: [caug]
    seeds: [0]
    overrides: {epochs: 4, schedule: {warmup_epochs: 0}}
evaluations: [linear, knn, short_online, short_finetune]
perturbations: [none, color_rotate]
tables: [linear]
figures: []
"""
SHORT = """
label: {name}
protocol: {protocol}
selection: last epoch
settings: {{epochs: 8, batch_size: 128, weight_decay: 0.0, lr_classifier: 3.0{more}}}
"""
RUN = "digits/ddcl/caug/seed0"
UNDER = ("--perturbations", "none", "color_rotate")
STAGES = {
    "pretrain": ("pretrain", "--run", RUN),
    "extract": ("extract", "--run", RUN, *UNDER),
    "linear": ("evaluate", "linear", "--run", RUN, *UNDER),
    "knn": ("evaluate", "knn", "--run", RUN, *UNDER),
    "short_online": ("evaluate", "short_online", "--run", RUN, *UNDER),
    "short_finetune": ("evaluate", "short_finetune", "--run", RUN, "--perturbations", "none"),
    "collect": ("collect",),
}
SHARES = {"pretrain": 0.3, "extract": 0.1, "linear": 0.1, "knn": 0.1, "short_online": 0.13, "short_finetune": 0.12}
COLLECT_SHARE, SNAKEMAKE_SHARE = 0.07, 0.08
SNAKEMAKE = ("snakemake", "--cores", "2", "--configfile", "config/suites/soak.yaml", "--rerun-incomplete")


@dataclass
class Soak:
    """One disturbed copy of the project, and what was done to it."""

    copy: Path
    rng: random.Random
    log: Path
    kills: list[dict[str, object]] = field(default_factory=list)

    def start(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "PYTHONPATH": str(self.copy),
            "DDCL_CHECKPOINT_MINUTES": "0.01",
        }
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command], cwd=self.copy, env=environment, stdout=log, stderr=log
            )

    def finish(self, command: tuple[str, ...]) -> float:
        """Run a command to its end; return the seconds."""
        start = time.monotonic()
        status = self.start(command).wait()
        if status:
            raise SystemExit(f"{command} ended with {status}; see {self.log}")
        return time.monotonic() - start

    def kill(self, stage: str, command: tuple[str, ...], seconds: float, signals: list[signal.Signals]) -> bool:
        """Start a command and send it a signal at a random moment of its `seconds`; return whether it came in time."""
        number, moment = self.rng.choice(signals), self.rng.uniform(0.05, 1.0) * seconds
        process = self.start(command)
        time.sleep(moment)
        if process.poll() is not None:
            return False
        process.send_signal(number)
        status = process.wait()
        if status == 0:  # it was about to end anyway
            return False
        self.kills.append(
            {"stage": stage, "signal": number.name, "after_seconds": round(moment, 2), "exit_status": status}
        )
        self.check_outputs()
        return True

    def check_outputs(self) -> None:
        """Every file that has its name is whole."""
        runs = self.copy / "results/runs"
        for path in runs.rglob("checkpoint.pt"):
            load_checkpoint(path)
        for path in runs.rglob("*.json"):
            read_json(path, "file")
        for path in (*runs.rglob("*.npz"), *runs.rglob("*.npy")):
            if ".tmp" not in path.name:
                np.load(path)
        for path in (self.copy / "results").glob("*.parquet"):
            pd.read_parquet(path)


def new_copy(folder: Path) -> Path:
    copy = copy_project(folder)
    (copy / "config/suites/soak.yaml").write_text(SUITE)
    for name, protocol, more in (("short_online", "online", ""), ("short_finetune", "finetune", ", lr_backbone: 0.03")):
        (copy / f"config/evaluations/{name}.yaml").write_text(SHORT.format(name=name, protocol=protocol, more=more))
    return copy


def run_folder(copy: Path) -> Path:
    run = run_of(copy, RUN)
    return copy / "results" / folder_of_run(run, run.arm_digest)


def begin(soak: Soak) -> None:
    soak.finish(("ddcl", "resolve", "--suite", "soak"))
    soak.finish(("ddcl", "prepare", "digits"))


def disturb_stages(soak: Soak, seconds: dict[str, float], kills: int) -> None:
    shares = SHARES | {"collect": COLLECT_SHARE}
    for stage, arguments in STAGES.items():
        command, wanted = ("ddcl", *arguments), len(soak.kills) + max(1, round(shares[stage] * kills))
        while len(soak.kills) < wanted:
            in_time = soak.kill(stage, command, seconds[stage], [signal.SIGKILL, signal.SIGTERM])
            if in_time:
                last = soak.kills[-1]
                print(f"{len(soak.kills):4} {stage:15} {last['signal']} after {last['after_seconds']} s", flush=True)
            elif stage == "pretrain":  # finished: begin anew, or nothing would be left to kill
                for path in (run_folder(soak.copy) / "work").rglob("*.*"):
                    path.unlink()
        soak.finish(command)


def disturb_snakemake(soak: Soak, seconds: float, kills: int) -> None:
    """SIGKILL Snakemake; its jobs go on. Started again, it meets them, and is told so until they have ended."""
    while len(soak.kills) < max(1, round(SNAKEMAKE_SHARE * kills)):
        if not soak.kill("snakemake", SNAKEMAKE, seconds, [signal.SIGKILL]):
            # finished: begin anew, or nothing would be left to kill; without the run alone, Snakemake is content
            shutil.rmtree(soak.copy / "results")
            continue
        soak.finish((*SNAKEMAKE, "--unlock"))
        print(f"     snakemake       SIGKILL, {len(soak.kills)} so far", flush=True)
    for _ in range(5):
        if soak.start(SNAKEMAKE).wait() == 0:
            return
        time.sleep(5)
    raise SystemExit(f"Snakemake did not come to an end; see {soak.log}")


def differences(undisturbed: Path, disturbed: Path) -> list[str]:
    """Return what differs: records, predictions, features, checkpoint, history (but for its seconds), leftovers."""
    found = []
    for path in sorted((run_folder(undisturbed) / "on").rglob("*.*")):
        if path.suffix in (".json", ".npy", ".npz") and path.parent.name != "work":
            other = disturbed / path.relative_to(undisturbed)
            if not other.exists() or path.read_bytes() != other.read_bytes():
                found.append(str(path.relative_to(undisturbed)))
    digests = {load_checkpoint(run_folder(copy) / "checkpoint.pt")[1] for copy in (undisturbed, disturbed)}
    found += ["checkpoint.pt"] if len(digests) > 1 else []
    for name in ("records", "histories"):
        frames = [
            pd.read_parquet(copy / f"results/{name}.parquet").drop(columns="seconds", errors="ignore")
            for copy in (undisturbed, disturbed)
        ]
        found += [] if frames[0].equals(frames[1]) else [f"{name}.parquet"]
    found += [str(path) for path in (disturbed / "results").rglob(".*.tmp*")]
    return found


def summary(soaks: list[Soak]) -> str:
    kills = [kill for soak in soaks for kill in soak.kills]
    counts = Counter((str(kill["stage"]), str(kill["signal"]), int(str(kill["exit_status"]))) for kill in kills)
    rows = [f"{stage:15} {name:8} status {status:4} {n:5}" for (stage, name, status), n in counts.items()]
    text = "\n".join(soak.log.read_text(errors="replace") for soak in soaks)
    text += "\n".join(log.read_text(errors="replace") for s in soaks for log in s.copy.glob("results/logs/**/*.log"))
    said = {what: text.count(what) for what in ("resumed ", "not resumed", "is writing it", "is already finished")}
    return "\n".join([*rows, f"{len(kills)} kills; said: {said}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/soak.csv")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder, rng, start = Path(tempfile.mkdtemp(prefix="soak")), random.Random(args.seed), time.monotonic()
    calm, stages, whole = (
        Soak(new_copy(folder / name), rng, folder / f"{name}.log") for name in ("calm", "stages", "snakemake")
    )
    begin(calm)
    seconds = {stage: calm.finish(("ddcl", *arguments)) for stage, arguments in STAGES.items()}
    print("undisturbed:", {stage: round(value, 1) for stage, value in seconds.items()}, flush=True)
    begin(stages)
    disturb_stages(stages, seconds, args.kills)
    disturb_snakemake(whole, sum(seconds.values()), args.kills)
    print(summary([stages, whole]))
    print(f"{time.monotonic() - start:.0f} s; {folder}")
    problems = [*differences(calm.copy, stages.copy), *differences(calm.copy, whole.copy)]
    if problems:
        raise SystemExit("different from the undisturbed run: " + ", ".join(problems))
    print("all records, predictions, features, histories and checkpoints equal those of the undisturbed run")
    with open(args.output, "w", newline="", encoding="utf-8") as handle:
        columns = ["seed", "stage", "signal", "after_seconds", "exit_status"]
        writer = csv.DictWriter(handle, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({"seed": args.seed, **kill} for kill in stages.kills + whole.kills)


if __name__ == "__main__":
    main()
