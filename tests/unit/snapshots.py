"""The committed snapshots as collected results, to be judged by today's claims.

They hold no predictions, so intervals are over seeds alone, and the older ones' records are of an older format. What
the suite asks for today and the snapshot lacks counts as missing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ddcl.plan.suite import Suite
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim
from ddcl.report.claims.verdicts import NOT_TESTABLE
from ddcl.report.collected import Collected

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOTS = ("digits", "fashion_mnist_diagnostics", "shapes")
SUITES = {"digits": "config.yaml"}  # the default suite
JUDGED = ("C1", "C7.1", "C7.2", "C7.3", "C7.4")  # the others rest on the paper's probe, or on runs with PReg


def snapshot(name: str) -> Collected:
    """Return what a snapshot holds, under the plan that its suite has today."""
    suite = ROOT / "config" / SUITES.get(name, f"suites/{name}.yaml")
    folder, plan = ROOT / "results/snapshots" / name, Suite.load(suite).plan
    records = pd.read_parquet(folder / "records.parquet").assign(code="")
    histories = pd.read_parquet(folder / "histories.parquet")
    claims = {claim: plan.claims[claim] for claim in JUDGED}
    trained = [
        run.model_copy(update={"epochs": int(histories["epoch"].max())}) if run.epochs else run for run in plan.runs
    ]
    return Collected(plan.changed(claims=claims, runs=trained), records, histories, [], folder)


@cache
def judged(name: str) -> list[JudgedClaim]:
    """Return the verdicts on a snapshot."""
    return judge_claims(snapshot(name))


def check_of(name: str, row: str, check: str) -> JudgedCheck:
    """Return a check of a row, such as C7.4a."""
    forms = (form for claim in judged(name) for form in claim.forms)
    return next(each for form in forms if form.name == row for each in form.checks if each.name == check)


def text(check: JudgedCheck) -> str:
    """Return an effect with its interval: ``+0.2 points (−0.7 to +1.1)``."""
    decimals = 1 if check.unit.startswith(("points", "%")) else 3
    ends = "" if np.isnan(check.ci_low) else f" ({check.ci_low:+z.{decimals}f} to {check.ci_high:+z.{decimals}f})"
    failed = sum(each.verdict == NOT_TESTABLE for each in check.comparisons)
    gates = f"; {failed} of {sum(each.n_seeds > 0 for each in check.comparisons)} fail a gate" if failed else ""
    return f"{check.effect:+z.{decimals}f} {check.unit}{ends}".replace("-", "−") + gates


def table(name: str) -> list[str]:
    """Return the verdicts on a snapshot as docs/findings.md has them."""
    rows = ["| claim | verdict | deciding checks |", "|---|---|---|"]
    for claim in judged(name):
        for form in claim.forms:
            effects = "; ".join(f"{check.label}: {text(check)}" for check in form.deciding)
            rows.append(f"| {form.name} {claim.statement_short}, {form.form} | {form.verdict} | {effects} |")
    return rows


if __name__ == "__main__":  # python -m tests.unit.snapshots
    for each in SNAPSHOTS:
        print(f"# {each}", *table(each), "", sep="\n")
