"""The committed snapshots as collected results, to be judged by today's claims.

`ddcl snapshot` made the newer ones. The older ones hold nothing of the predictions, so intervals are over seeds alone,
and their records are of an older format. What the suite asks for today and such a snapshot lacks counts as missing.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ddcl.base import sealed
from ddcl.base.files import write_text
from ddcl.plan.plan import FILE, KEPT, Plan
from ddcl.plan.suite import Suite
from ddcl.render import render_claims, render_figure, render_page
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim
from ddcl.report.claims.verdicts import NOT_TESTABLE
from ddcl.report.collect import RUNS, CollectedRuns
from ddcl.report.collected import Collected
from ddcl.report.exchange.snapshot import write_snapshot

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "results/snapshots"
SNAPSHOTS = ("digits", "digits_full", "textures", "emoji", "fashion_mnist_diagnostics", "shapes")
TITLES = {  # of the columns of the one table; digits_full has the runs of digits, and more
    "digits": "digits",
    "textures": "textures",
    "emoji": "emoji",
    "fashion_mnist_diagnostics": "Fashion-MNIST",
    "shapes": "shapes",
}
SUITES = {"digits": "config.yaml", "fashion_mnist_diagnostics": "suites/fashion_mnist_small.yaml"}
JUDGED = ("C1", "C7.1", "C7.2", "C7.3", "C7.4")  # of older ones; the others rest on the paper's probe, or on PReg


def snapshot(name: str) -> Collected:
    """Return what a snapshot holds, under the claims, or, if it is an older one, the plan that its suite has today.

    The half-widths of that plan were fixed for newer runs.
    """
    folder, plan = FOLDER / name, Suite.load(_suite(name)).plan
    if (folder / KEPT).exists():
        found = Collected.load(folder)
        return replace(found, plan=_of_today(found.plan, plan))
    records = pd.read_parquet(folder / "records.parquet").assign(code="")
    histories = pd.read_parquet(folder / "histories.parquet")
    claims = {claim: plan.claims[claim] for claim in JUDGED}
    trained = [
        run.model_copy(update={"epochs": int(histories["epoch"].max())}) if run.epochs else run for run in plan.runs
    ]
    return Collected(plan.changed(claims=claims, runs=trained, planned_half_widths={}), records, histories, [], folder)


def _suite(name: str) -> Path:
    return ROOT / "config" / SUITES.get(name, f"suites/{name}.yaml")


def _of_today(own: Plan, today: Plan) -> Plan:
    """Return a snapshot's plan with the claims, gates and statistics that its suite has today."""
    return own.changed(claims=today.claims, gates=today.gates, statistics=today.statistics)


def mend(name: str) -> None:
    """Let a snapshot follow today's claims: its plan, what is made of its claims, figures and the page.

    Its plan may be of an earlier layout, as long as that can be read without its seal.
    """
    own = FOLDER / name
    content = json.loads((own / FILE).read_text(encoding="utf-8"))
    former = Plan.model_validate({key: content[key] for key in Plan.model_fields})
    today = _of_today(former, Suite.load(_suite(name)).plan)
    with TemporaryDirectory() as folder:
        new = shutil.copytree(own, Path(folder) / name)
        write_text(new / FILE, today.text)
        runs = sealed.read(new / RUNS, CollectedRuns, "list of collected runs", "ddcl snapshot")
        sealed.write(new / RUNS, runs.model_copy(update={"plan": today.digest}))
        render_claims(new)
        for figure in today.figures:
            render_figure(figure, new)
        render_page(new)
        write_snapshot(new, own)


@cache
def judged(name: str) -> list[JudgedClaim]:
    """Return the verdicts on a snapshot."""
    return judge_claims(snapshot(name))


def check_of(name: str, row: str, check: str) -> JudgedCheck:
    """Return a check of a row, such as C7.4a."""
    forms = (form for claim in judged(name) for form in claim.forms)
    return next(each for form in forms if form.name == row for each in form.checks if each.name == check)


def text(check: JudgedCheck) -> str:
    """Return an effect with its interval: ``linear: +0.2 points (−0.7 to +1.1)``."""
    if np.isnan(check.effect):
        return f"{check.label}: –"
    decimals = _decimals(check)
    ends = "" if np.isnan(check.ci_low) else f" ({check.ci_low:+z.{decimals}f} to {check.ci_high:+z.{decimals}f})"
    failed = sum(each.verdict == NOT_TESTABLE for each in check.comparisons)
    gates = f"; {failed} of {sum(each.n_seeds > 0 for each in check.comparisons)} fail a gate" if failed else ""
    return f"{check.label}: " + f"{check.effect:+z.{decimals}f} {check.unit}{ends}".replace("-", "−") + gates


def _decimals(check: JudgedCheck) -> int:
    return 1 if check.unit.startswith(("points", "%")) else 3


def table(name: str) -> list[str]:
    """Return the verdicts on a snapshot as docs/findings.md has them."""
    rows = ["| claim | verdict | deciding checks |", "|---|---|---|"]
    for claim in judged(name):
        for form in claim.forms:
            effects = "; ".join(text(check) for check in form.deciding)
            rows.append(f"| {form.name} {claim.statement_short}, {form.form} | {form.verdict} | {effects} |")
    return rows


def precision(name: str) -> list[str]:
    """Return half of each interval that was planned before the runs, beside that."""
    rows = ["| claim | check | half of the interval: planned | reached |", "|---|---|---:|---:|"]
    for claim in judged(name):
        for form in claim.forms:
            for check in form.checks:
                if not np.isnan(check.planned_half_width):
                    n = _decimals(check)
                    ends = f"{check.planned_half_width:.{n}f} | {check.half_width:.{n}f} {check.unit}"
                    rows.append(f"| {form.name} {claim.statement_short}, {form.form} | {check.label} | {ends} |")
    return rows


def answer() -> list[str]:
    """Return one table over all data sets: a row per claim and form, with verdict and effect on each data set."""
    found = {name: _verdicts(name) for name in TITLES}
    heads = ["claim", "the paper reports", *TITLES.values()]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for claim, spec in Suite.load(ROOT / "config/config.yaml").plan.claims.items():
        for form in spec.forms:
            row = spec.row(claim, form)
            reported = spec.reported_short if form == spec.forms[0] else "no number"
            cells = [own.get(row, _missing(name)) for name, own in found.items()]
            rows.append(f"| {' | '.join([f'{row} {spec.statement_short}, {form}', reported, *cells])} |")
    return [row.replace("-0", "−0") for row in rows]


def _missing(name: str) -> str:
    """Return what is said of a claim that a snapshot has no verdict on."""
    return "not asked" if (FOLDER / name / KEPT).exists() else "awaits the study"


def _verdicts(name: str) -> dict[str, str]:
    """Return verdict and effect by row of a claim."""
    forms = (form for claim in judged(name) for form in claim.forms)
    return {form.name: _said(form.verdict, form.headline) for form in forms}


def _said(verdict: str, row: Any) -> str:
    """Return a verdict with the effect that decides it. row: has effect, ci_low, ci_high and unit."""
    if np.isnan(row.effect):
        return verdict
    digits = 1 if row.unit.startswith(("points", "%")) else 2
    numbers = [f"{own:+z.{digits}f}".replace("-", "−") for own in (row.effect, row.ci_low, row.ci_high)]
    unit = "" if len(row.unit) > len("points") else f" {row.unit}"  # of the longer ones the page says what they are
    return f"{verdict}: {numbers[0]}{unit}" + ("" if np.isnan(row.ci_low) else f" ({numbers[1]} to {numbers[2]})")


if __name__ == "__main__":  # python -m tests.unit.snapshots [mend NAME]
    if sys.argv[1:2] == ["mend"]:
        mend(sys.argv[2])
        sys.exit()
    for each in SNAPSHOTS:
        print(f"# {each}", *table(each), "", *precision(each), "", sep="\n")
    print(*answer(), sep="\n")
