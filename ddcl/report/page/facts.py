"""What the page says of a suite as a whole: what was run, and what needs attention."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ddcl.plan.plan import Plan
from ddcl.report.collect import ABSENT
from ddcl.report.collected import Collected
from ddcl.report.page.cards import anchor_of, commit_text
from ddcl.schema.recipes import run_name
from ddcl.schema.tables import RUN

OUT_OF_DATE = "out of date"  # what is missing because another recipe, code or checkpoint made the file that is there


def facts(found: Collected) -> dict[str, str]:
    """Return what was run, as named lines of text."""
    plan, records = found.plan, found.records
    done = [run for run in found.runs if run["status"] not in ABSENT]
    trained = [run for run in plan.runs if run.trains]
    names = {run.name for run in trained}
    n_trained = sum(run_name(run) in names for run in done)
    seeds = sorted({run.seed for run in plan.runs})
    images = sorted({int(n) for n in records["n"] if n})
    lines = {
        "Suite": plan.suite,
        "Runs": f"{len(done)} of {len(plan.runs)} done, {n_trained} of them trained",
        "Methods": _labels(plan, "variant", (run.variant for run in plan.runs)),
        "Augmentations": _labels(plan, "augmentation", (run.augmentation for run in trained)),
        "Seeds": ", ".join(map(str, seeds)),
        "Evaluations": _labels(plan, "evaluation", plan.evaluations),
        "Perturbations": _labels(plan, "perturbation", plan.perturbations),
        "Cells": f"{int((records['status'] == 'ok').sum())} of {len(records)} measured and healthy",
        "Test images": "; ".join(f"{n:,}" for n in images),
        "Training time": f"{sum(run['seconds'] for run in done) / 60:.1f} minutes, summed over runs",
        "Device": _distinct(f"{run['device']}, {run['precision']}" for run in done),
        "Host": _distinct(run["host"] for run in done),
        "Versions": _distinct(" · ".join(f"{name} {v}" for name, v in run["versions"].items() if v) for run in done),
        "Commit": _distinct(commit_text(run) for run in done),
    }
    return {name: text for name, text in lines.items() if text}


def _labels(plan: Plan, kind: str, names: Iterable[str]) -> str:
    return ", ".join(plan.label(kind, name) for name in dict.fromkeys(names))


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def run_status(run: dict[str, Any]) -> str:
    """Return the status of a run of runs.json; `OUT_OF_DATE` if it is missing because another recipe trained it."""
    stale = run["status"] == "missing" and ": stale, " in run["message"]
    return OUT_OF_DATE if stale else str(run["status"])


def attention(found: Collected) -> list[tuple[str, str, list[str]]]:
    """Return (run, its anchor, what is wrong) for every run that is missing or did not end well, or lacks cells.

    Cells with the status of their run are not named again.
    """
    listed = []
    planned = found.plan.by_name
    for run in found.runs:
        problems = [] if run["status"] == "ok" else [f"{run_status(run)}: {run['message']}"]
        own = found.records[(found.records[RUN] == [run[key] for key in RUN]).all(axis=1)]
        bad = own[~own["status"].isin(["ok", run["status"]])]
        for (evaluation, dataset), cells in bad.groupby(["evaluation", "eval_dataset"], sort=False):
            statuses = cells["status"]
            record = found.plan.record(planned[run_name(run)].names, str(dataset), str(evaluation))
            if record and (found.results / record).exists():
                statuses = statuses.replace("missing", OUT_OF_DATE)
            where = evaluation if dataset == run["dataset"] else f"{evaluation} on {dataset}"
            counts = statuses.value_counts().sort_index()
            problems.append(f"{where}: " + ", ".join(f"{n} of its cells {status}" for status, n in counts.items()))
        if problems:
            listed.append((run_name(run), anchor_of(run_name(run)), problems))
    return listed
