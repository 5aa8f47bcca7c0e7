"""How far a suite is, from the files in its results folder alone; for people, and for `ddcl collect`. Imports no torch.

Whether a job is alive can only be inferred from files, so this is a guess. A job has *failed* if its log is there, its
outputs are not, and nothing speaks for its being at work: no process on this host, nothing written lately, or an error
at the end of the log. A job that was cancelled, or killed with its machine, looks the same: "failed or interrupted".
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddcl.base.errors import UserError
from ddcl.base.files import alive
from ddcl.base.progress import ProgressState, read_progress
from ddcl.plan.addresses import addressed
from ddcl.plan.digests import evaluate_digest, pretrain_digest
from ddcl.plan.plan import Plan, PlannedRun, Target
from ddcl.schema import history, run_summary
from ddcl.schema.record import load as read_record

SILENCE_SECONDS = 3600  # a job that wrote nothing for so long counts as dead; a training has three epochs if longer
START_SECONDS = 600  # a process that has said nothing for so long will not say anything
TAIL_LINES = 3
OTHER_CODE = ", made by other code"  # than this checkout's
DONE, RUNNING, FAILED, WAITING = "done", "running", "failed", "waiting"


@dataclass
class RunState:
    """state: of the run as a whole. detail: the rest of its line. tail: the last lines of the log of what failed."""

    state: str
    detail: str
    tail: list[str] = field(default_factory=list)


def states(plan: Plan, results: Path) -> dict[str, RunState]:
    """Return how far each run of a plan is, by its name."""
    protocols = {name: evaluation.protocol for name, evaluation in plan.evaluations.items()}
    return {run.name: run_state(results, run, protocols) for run in plan.runs}


def as_json(plan: Plan, results: Path) -> dict[str, Any]:
    """Return what `ddcl status --json` prints: how many runs are in each state, and each run's."""
    found = states(plan, results)
    counts = Counter(state.state for state in found.values())
    runs = [
        {"run": name, "state": state.state, "detail": state.detail, "log_tail": state.tail}
        for name, state in found.items()
    ]
    return {"suite": plan.suite, "runs": runs} | {state: counts[state] for state in (DONE, RUNNING, FAILED, WAITING)}


def describe(plan: Plan, results: Path) -> str:
    """Return the text of `ddcl status` for a plan."""
    lines, counts = [], Counter[str]()
    for name, found in states(plan, results).items():
        counts[found.state] += 1
        lines += [f"{found.state:8} {name}  {found.detail}".rstrip(), *(f"         | {line}" for line in found.tail)]
    if not results.is_dir():
        lines.append(f"{results}: there is no such folder, so nothing was run there")
    total = ", ".join(f"{counts[state]} {state}" for state in (DONE, RUNNING, FAILED, WAITING))
    return "\n".join([*lines, "", f"suite {plan.suite}: {len(plan.runs)} runs: {total}"])


def run_state(results: Path, run: PlannedRun, protocols: Mapping[str, str]) -> RunState:
    """Return how far a run of a plan is: its training, then its evaluations. protocols: of these, by name."""
    training = training_state(results, run)
    if training.state != DONE:
        return training
    found = [evaluation_state(results, run, target, protocols[target.evaluation]) for target in run.targets]
    done = sum(state.state == DONE for state in found)
    detail = f"{training.detail}, {done} of {len(found)} evaluations"
    other = sum(state.detail == OTHER_CODE for state in found)
    detail += f", {other} of them{OTHER_CODE}" if other else ""
    for kind in (FAILED, RUNNING):
        first = next((state for state in found if state.state == kind), None)
        if first:
            return RunState(kind, f"{detail}; {first.detail}", first.tail)
    return RunState(DONE if done == len(found) else WAITING, detail)


def training_state(results: Path, run: PlannedRun) -> RunState:
    """Return how far the training of a run is."""
    folder, log = results / run.folder, results / run.log("pretrain")
    if (folder / run_summary.FILE).exists():
        try:
            summary = run_summary.load(folder / run_summary.FILE)
        except UserError as error:
            return RunState(FAILED, str(error))
        if summary.provenance.recipe_digest != run.recipe_digest:
            return RunState(WAITING, "trained with another recipe")
        other = summary.provenance.code_digest != pretrain_digest(run.method, run.ops)
        return RunState(DONE, f"trained ({summary.status}, {summary.epochs} epochs{OTHER_CODE if other else ''})")
    progress = read_progress(folder / "work")
    if progress and is_alive(progress, folder / "work"):
        return RunState(RUNNING, progress_text(progress))
    if not log.exists():
        return RunState(WAITING, "")
    if not log.stat().st_size and time.time() - log.stat().st_mtime < START_SECONDS:
        return RunState(RUNNING, "training began")
    reached = f" after {progress.epoch} of {progress.epochs} epochs" if progress else ""
    return RunState(FAILED, f"training failed or was interrupted{reached}: {log}", tail(log))


def is_trained(results: Path, run: PlannedRun) -> bool:
    """Return whether a run is trained, with the code at hand, and all that its training wrote is there."""
    found = training_state(results, run)
    whole = all((results / run.folder / name).exists() for name in ("checkpoint.pt", history.FILE))
    return whole and found.state == DONE and OTHER_CODE not in found.detail


def evaluation_state(results: Path, run: PlannedRun, target: Target, protocol: str) -> RunState:
    """Return how far an evaluation of a trained run is; the extraction of its features counts as its beginning."""
    record, features = results / run.record(target), run.features(target)
    evaluation, dataset = target.evaluation, target.eval_dataset
    if record.exists():
        try:
            made = read_record(record).provenance
        except UserError as error:
            return RunState(FAILED, str(error))
        return RunState(DONE, "" if made.code_digest == evaluate_digest(run.method, protocol) else OTHER_CODE)
    log = results / run.log(addressed(evaluation, target.digest), dataset)
    if not log.exists() and target.features and not (results / str(features)).exists():
        log = results / run.log(addressed("features", target.features), dataset)
    if not log.exists():
        return RunState(WAITING, "")
    lines = tail(log)
    newest = max(path.stat().st_mtime for path in (log, *(record.parent / "work").glob("*")))
    if time.time() - newest > SILENCE_SECONDS or any("error" in line.lower() for line in lines):
        return RunState(FAILED, f"{evaluation} on {dataset} failed or was interrupted: {log}", lines)
    return RunState(RUNNING, f"{evaluation} on {dataset} began")


def is_alive(progress: ProgressState, work: Path) -> bool:
    """Return whether the training that wrote `progress` seems to be at work.

    On the host that it ran on, its process says so; elsewhere, a file in `work` that was written recently.
    """
    if progress.host == platform.node():
        return alive(progress.pid)
    newest = max((path.stat().st_mtime for path in work.iterdir()), default=0.0)
    return time.time() - newest < max(SILENCE_SECONDS, 3 * (progress.seconds_per_epoch or 0.0))


def progress_text(progress: ProgressState) -> str:
    """Return ``epoch 3 of 24, 1,900 images/s, 0 h 12 min left, on HOST``."""
    parts = [f"epoch {progress.epoch} of {progress.epochs}"]
    if progress.images_per_s is not None and progress.seconds_left is not None:
        hours, minutes = divmod(round(progress.seconds_left / 60), 60)
        parts += [f"{progress.images_per_s:,.0f} images/s", f"{hours} h {minutes:02} min left"]
    job = f" (Slurm job {progress.slurm_job_id})" if progress.slurm_job_id else ""
    return ", ".join([*parts, f"on {progress.host}{job}"])


def tail(log: Path) -> list[str]:
    """Return the last lines of a log that are not empty; what a progress bar overwrote is not shown."""
    with open(log, "rb") as handle:
        handle.seek(max(0, log.stat().st_size - 4096))
        text = handle.read().decode("utf-8", errors="replace")
    lines = (line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n"))
    return [line for line in lines if line][-TAIL_LINES:]
