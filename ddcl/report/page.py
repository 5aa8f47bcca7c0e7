"""The report: one self-contained HTML page that works offline, without JavaScript, and on paper."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from ddcl.core.files import write_text
from ddcl.recipes import run_name
from ddcl.report.collect import ABSENT
from ddcl.report.illustrations import described
from ddcl.report.specs import RUN


def write_page(
    suite: dict[str, Any],
    runs: list[dict[str, Any]],
    records: pd.DataFrame,
    tables: dict[str, tuple[str, str, str]],
    figures: Path,
    out: Path,
) -> None:
    """Write the page of a suite to `out`.

    suite: the plan. runs, records: what was collected.
    tables: name -> (title, caption, HTML of the wide table). figures: the folder with the drawn PNGs.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ddcl.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html.j2").render(
        suite=suite,
        labels=suite["labels"],
        facts=facts(suite, runs, records),
        attention=attention(runs, records),
        tables={name: (title, caption, Markup(html)) for name, (title, caption, html) in tables.items()},
        figures=[
            (name, caption, alt, png_uri(figures / f"{name}.png")) for name, (caption, alt) in described(suite).items()
        ],
        runs=runs,
    )
    write_text(out, page)


def png_uri(path: Path) -> str:
    """Return the PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def facts(suite: dict[str, Any], runs: list[dict[str, Any]], records: pd.DataFrame) -> dict[str, str]:
    """Return what was run, as named lines of text."""
    done = [run for run in runs if run["status"] not in ABSENT]
    trained = [run for run in suite["runs"] if run["trains"]]
    names = {run_name(run) for run in trained}
    n_trained = sum(run_name(run) in names for run in done)
    seeds = sorted({run["seed"] for run in suite["runs"]})
    images = sorted({int(n) for n in records["n"] if n})
    lines = {
        "Suite": suite["suite"],
        "Runs": f"{len(done)} of {len(suite['runs'])} done, {n_trained} of them trained",
        "Methods": _labels(suite, "variant", (run["variant"] for run in suite["runs"])),
        "Augmentations": _labels(suite, "augmentation", (run["augmentation"] for run in trained)),
        "Seeds": ", ".join(map(str, seeds)),
        "Evaluations": _labels(suite, "evaluation", suite["evaluations"]),
        "Perturbations": _labels(suite, "perturbation", suite["perturbations"]),
        "Cells": f"{int((records['status'] == 'ok').sum())} of {len(records)} measured and healthy",
        "Test images": "; ".join(f"{n:,}" for n in images),
        "Training time": f"{sum(run['seconds'] for run in done) / 60:.1f} minutes, summed over runs",
        "Device": _distinct(f"{run['device']}, {run['precision']}" for run in done),
        "Host": _distinct(run["host"] for run in done),
        "Versions": _distinct(" · ".join(f"{name} {v}" for name, v in run["versions"].items() if v) for run in done),
        "Commit": _distinct(_commit(run) for run in done),
    }
    return {name: text for name, text in lines.items() if text}


def _labels(suite: dict[str, Any], kind: str, names: Iterable[str]) -> str:
    return ", ".join(suite["labels"][kind][name] for name in dict.fromkeys(names))


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _commit(run: dict[str, Any]) -> str:
    commit = run["git_commit"] or "not in a git checkout"
    return f"{commit}, with uncommitted changes" if run["git_dirty"] else commit


def attention(runs: list[dict[str, Any]], records: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return (run, what is wrong with it) for every run that is missing or did not end well, or lacks cells.

    Cells with the status of their run are not named again.
    """
    found = []
    for run in runs:
        problems = [] if run["status"] == "ok" else [f"{run['status']}: {run['message']}"]
        own = records[(records[RUN] == [run[key] for key in RUN]).all(axis=1)]
        bad = own[~own["status"].isin(["ok", run["status"]])]
        for evaluation, cells in bad.groupby("evaluation", sort=False):
            counts = cells["status"].value_counts().sort_index()
            problems.append(f"{evaluation}: " + ", ".join(f"{n} of its cells {status}" for status, n in counts.items()))
        if problems:
            found.append((run_name(run), problems))
    return found
