"""The committed snapshots as collected results, to be judged by today's claims.

Their records are of an older format and hold no predictions, so intervals are over seeds alone. What the suite asks for
today and the snapshot lacks counts as missing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from ddcl.plan.suite import Suite
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import JudgedCheck, JudgedForm
from ddcl.report.collected import Collected

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOTS = ("digits_diagnostics", "fashion_mnist_diagnostics", "shapes")
JUDGED = ("C1", "C7.1", "C7.2", "C7.3", "C7.4")  # the others rest on the paper's probe, or on runs with PReg


def snapshot(name: str) -> Collected:
    """Return what a snapshot holds, under the plan that the suite of its name has today."""
    folder, plan = ROOT / "results/snapshots" / name, Suite.load(ROOT / f"config/suites/{name}.yaml").plan
    records = pd.read_parquet(folder / "records.parquet").assign(code="")
    histories = pd.read_parquet(folder / "histories.parquet")
    claims = {claim: plan.claims[claim] for claim in JUDGED}
    return Collected(plan.changed(claims=claims), records, histories, [], folder)


@cache
def judged(name: str) -> dict[str, JudgedForm]:
    """Return the verdicts on a snapshot, by row."""
    return {form.name: form for claim in judge_claims(snapshot(name)) for form in claim.forms}


def line(row: str, check: JudgedCheck) -> str:
    """Return a check in a line: ``C1a area: inconclusive, +0.2 points (-0.7 to +1.1), 6 comparisons, 3 seeds``."""
    interval = "" if check.ci_low != check.ci_low else f" ({check.ci_low:+.3f} to {check.ci_high:+.3f})"
    effect = f"{check.effect:+.3f} {check.unit}{interval}"
    n = f"{len(check.comparisons)} comparisons, {check.n_seeds} seeds"
    return f"{row} {check.name}: {check.verdict}, {effect}, {n}; {check.note}"


if __name__ == "__main__":  # python -m tests.unit.snapshots
    for each in SNAPSHOTS:
        print(f"# {each}")
        for row, form in judged(each).items():
            print(f"{row}: {form.verdict}")
            print(*(f"  {line(row, check)}" for check in form.checks), sep="\n")
