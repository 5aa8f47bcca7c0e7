"""What the page says of a suite as a whole: what was run, and what needs attention."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.plan.plan import Plan
from ddcl.report.collect import OTHER_CODE, CollectedRun
from ddcl.report.collected import Collected
from ddcl.report.page.cards import anchor_of, commit_text
from ddcl.schema import manifest
from ddcl.schema.run_summary import FILE, RunSummary
from ddcl.schema.tables import RUN

OUT_OF_DATE = "out of date"  # what is missing because another recipe, code or checkpoint made the file that is there


def facts(found: Collected) -> dict[str, str]:
    """Return what was run, as named lines of text."""
    plan, records = found.plan, found.records
    done = [each.summary for each in found.runs if each.summary]
    trained = [run for run in plan.runs if run.trains]
    names = {run.name for run in trained}
    n_trained = sum(summary.run.name in names for summary in done)
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
        "Test images seen in training": shared_text(found),
        "Training time": f"{sum(summary.seconds for summary in done) / 60:.1f} minutes, summed over runs",
        "Device": _distinct(f"{summary.provenance.device}, {summary.precision}" for summary in done),
        "Host": _distinct(summary.provenance.host for summary in done),
        "Versions": _distinct(map(versions_text, done)),
        "Commit": _distinct(map(commit_text, done)),
        "Code": code_text(found),
    }
    return {name: text for name, text in lines.items() if text}


def _labels(plan: Plan, kind: str, names: Iterable[str]) -> str:
    return ", ".join(plan.label(kind, name) for name in dict.fromkeys(names))


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def versions_text(summary: RunSummary) -> str:
    """Return the versions of the packages that a run was made with."""
    return " · ".join(f"{name} {number}" for name, number in summary.provenance.versions.items() if number)


def shared_text(found: Collected) -> str:
    """Return how many test images have the content of a training image; nothing where none has."""
    texts = []
    for name, folder in zip(found.plan.data, found.plan.data_folders, strict=True):
        try:
            test = manifest.load(found.results / folder / "manifest.json").splits["test"]
        except UserError:  # `ddcl collect` names it
            continue
        if test.n_in_train:
            label = found.plan.label("dataset", name)
            texts.append(f"{test.n_in_train:,} of {test.n:,} of {label} have the same bytes")
    return "; ".join(texts)


def code_text(found: Collected) -> str:
    """Return how many runs and cells were made by other code than this checkout's; nothing where none was."""
    runs, cells = sum(each.other_code for each in found.runs), int((found.records["code"] != "").sum())
    if not runs and not cells:
        return ""
    return f"{runs} of {len(found.runs)} runs and {cells} of {len(found.records)} cells were {OTHER_CODE}"


def run_status(each: CollectedRun, folder: Path) -> str:
    """Return the status of a run; `OUT_OF_DATE` if it is missing although its files are there."""
    return OUT_OF_DATE if each.status == "missing" and (folder / FILE).exists() else each.status


def attention(found: Collected) -> list[tuple[str, str, list[str]]]:
    """Return (run, its anchor, what is wrong) for every run that is missing or did not end well, or lacks cells.

    Cells with the status of their run are not named again.
    """
    listed = []
    for each in found.runs:
        run = found.plan.run(each.run.name)
        status = run_status(each, found.results / run.folder)
        problems = [] if status == "ok" else [f"{status}: {each.message}"]
        cells = found.records[(found.records[RUN] == list(run.names)).all(axis=1)]
        bad = cells[~cells["status"].isin(["ok", each.status])]
        for (evaluation, dataset), group in bad.groupby(["evaluation", "eval_dataset"], sort=False):
            statuses = group["status"]
            record = found.plan.record(run.names, str(dataset), str(evaluation))
            if record and (found.results / record).exists():
                statuses = statuses.replace("missing", OUT_OF_DATE)
            where = evaluation if dataset == run.dataset else f"{evaluation} on {dataset}"
            counts = statuses.value_counts().sort_index()
            problems.append(f"{where}: " + ", ".join(f"{n} of its cells {status}" for status, n in counts.items()))
        if problems:
            listed.append((run.name, anchor_of(run.name), problems))
    return listed
