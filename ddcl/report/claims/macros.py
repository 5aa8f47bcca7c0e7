"""LaTeX commands for a paper: one per headline number, with its n and interval."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from ddcl.base.errors import UserError
from ddcl.plan.macro_names import PROTOCOLS, command_name
from ddcl.plan.plan import Cell, Plan
from ddcl.report.claims.inference import share_estimate
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim
from ddcl.report.collected import Collected
from ddcl.report.numbers import interval
from ddcl.report.sources import source_of
from ddcl.report.tables.latex import tex_escape
from ddcl.schema.claims import StatisticsSpec
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import TOP1
from ddcl.schema.tables import RUN

HEAD = r"""%% Numbers of suite %(suite)s for use in a paper: \input{macros.tex}; then \%(example)s{} prints
%%   %(text)s
%% Names: data set (where the suite has several), variant, augmentation, evaluation; digits are spelled, underscores
%% left out. Accuracies are top-1 in percent of the whole features on clean test images, last epoch. Their interval is
%% over seeds (t of arcsines, so within 0 to 100), for the same test images; below three seeds there is none. Claims:
%% effects are positive in favour of the claim, and their intervals those of claim_checks.csv; a is the asymmetric form,
%% whose verdict is that of the paper's claim, b the symmetric. After each number: the cells of the records, or the row
%% of the table, that it comes from, below the results folder; `ddcl trace` follows the row.
"""


def macros(found: Collected, claims: list[JudgedClaim]) -> str:
    """Return the file; `UserError` where two numbers would have one name."""
    rules = found.plan.statistics
    commands: dict[str, tuple[str, str]] = {}
    for name, text, source in (*accuracies(found, rules), *_effects(claims, rules)):
        if name in commands:
            texts = f"{commands[name][0]} and {text}"
            raise UserError(f"macros.tex: two numbers would have the command \\{name}: {texts}; rename a variant")
        commands[name] = text, source
    example, (text, _) = next(iter(commands.items()), ("Name", ("", "")))
    head = HEAD % {"suite": found.plan.suite, "example": example, "text": text}
    lines = [rf"\newcommand{{\{name}}}{{{text}}} % {source}" for name, (text, source) in commands.items()]
    return head + "".join(f"{line}\n" for line in lines)


def accuracies(found: Collected, rules: StatisticsSpec) -> Iterator[tuple[str, str, str]]:
    """Yield name, text and sources of the clean accuracy of each variant, augmentation and linear or kNN evaluation."""
    records = found.records
    evaluations = [name for name, item in found.plan.evaluations.items() if item.protocol in PROTOCOLS]
    records = records[records["evaluation"].isin(evaluations) & (records["eval_dataset"] == records["dataset"])]
    records = records[(records["part"] == "full") & (records["perturbation"] == CLEAN) & (records["metric"] == TOP1)]
    several = records["dataset"].nunique() > 1
    for key, rows in records.groupby(["dataset", "variant", "augmentation", "evaluation"], sort=False):
        name, seeds = command_name(*map(str, key[0 if several else 1 :])), ",".join(map(str, rows["seed"]))
        yield name, accuracy_text(rows, rules), _source(found.plan, rows.iloc[0].to_dict(), seeds)


def _source(plan: Plan, cell: dict[Any, Any], seeds: str) -> str:
    """Return the source of a cell's values over several seeds: ``…/seed{0,1}/…``."""
    record = plan.record(tuple(cell[name] for name in RUN), cell["eval_dataset"], cell["evaluation"])
    assert record is not None
    source = source_of(record, Cell(cell["part"], cell["perturbation"], cell["metric"]))
    return source.replace(f"/seed{cell['seed']}/", f"/seed{{{seeds}}}/") if "," in seeds else source


def accuracy_text(rows: pd.DataFrame, rules: StatisticsSpec) -> str:
    r"""Return ``96.6 (95\,\% CI 95.9 to 97.3, $n=5$)`` of one row per seed; seeds without a value are said."""
    values = rows["value"].dropna().to_numpy(dtype=float)
    n = f"$n={len(values)}$" if len(values) == len(rows) else f"$n={len(values)}$ of {len(rows)}"
    if not len(values):
        return f"-- ({n})"
    found = share_estimate(values, rules.confidence)
    return _text(f"{100 * found.effect:.1f}", (100 * found.low, 100 * found.high), ".1f", n, rules)


def effect_text(check: JudgedCheck, rules: StatisticsSpec) -> str:
    r"""Return ``$+1.2$ points (95\,\% CI $-0.3$ to $+2.7$, $n=5$)``, no finer than its interval."""
    effect, between = interval(check.effect, check.ci_low, check.ci_high, check.smallest_effect)
    number, n = f"{_math(effect)} {tex_escape(check.unit)}", f"$n={check.n_seeds}$"
    if not between:
        return f"{number} ({n})"
    low, high = map(_math, between.split(" to "))
    return rf"{number} ({100 * rules.confidence:.0f}\,\% CI {low} to {high}, {n})"


def _math(number: str) -> str:
    return f"${number.replace('−', '-')}$"


def _text(number: str, ends: tuple[float, float], form: str, n: str, rules: StatisticsSpec) -> str:
    if np.isnan(ends[0]):
        return f"{number} ({n})"
    low, high = (f"{value:{form}}" for value in ends)
    return rf"{number} ({100 * rules.confidence:.0f}\,\% CI {low} to {high}, {n})"


def _effects(claims: list[JudgedClaim], rules: StatisticsSpec) -> Iterator[tuple[str, str, str]]:
    """Yield name, text and row of the verdict of each claim and form, and of each check's effect."""
    check_rows = count(1)
    for form_row, form in enumerate((form for claim in claims for form in claim.forms), 1):
        yield command_name("claim", form.name, "verdict"), form.verdict, f"tables/claims.csv, row {form_row}"
        for check in form.checks:
            row = next(check_rows)
            if not np.isnan(check.effect):
                text = effect_text(check, rules)
                yield command_name("claim", form.name, check.name), text, f"tables/claim_checks.csv, row {row}"
