"""The claims as rows of the first screen: what is claimed, what the paper reports, what was found, and the verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import isinf, isnan

from markupsafe import Markup

from ddcl.plan.plan import Plan
from ddcl.report.claims.judged import Finding, JudgedCheck, JudgedClaim, JudgedForm
from ddcl.report.claims.verdicts import (
    CONTRADICTED,
    DIFFERS,
    INCONCLUSIVE,
    NO_EFFECT,
    NOT_RUN,
    NOT_TESTABLE,
    SUPPORTED,
    UNDECIDED,
    Verdict,
)
from ddcl.report.numbers import amount, interval, minus, plain
from ddcl.report.page.bars import Line, bar

# Verdicts have no hue: a solid mark is decided, an open one is not (docs/statistics.md has the rule).
GLYPHS: dict[Verdict, str] = {
    SUPPORTED: "▲",
    CONTRADICTED: "▼",
    NO_EFFECT: "=",
    INCONCLUSIVE: "◇",
    NOT_TESTABLE: "⊘",
    NOT_RUN: "○",
    DIFFERS: "≠",
}
MEANINGS: dict[Verdict, str] = {
    SUPPORTED: "the whole interval is above 0, and not all of it too small to matter",
    CONTRADICTED: "the whole interval is below 0, and not all of it too small to matter",
    NO_EFFECT: "the whole interval is too small to matter, in either direction",
    INCONCLUSIVE: "none of these, or fewer than three seeds, or one of its comparisons says the opposite; for a "
    "comparison, also if one of these holds before Holm’s correction but not after it",
    NOT_TESTABLE: "more than half of its comparisons fail a gate",
    NOT_RUN: "this suite has no such runs",
    DIFFERS: "the arms differ in more than the claim is about, or another probe was used",
}
STYLES = {name: name.replace(" ", "-") for name in GLYPHS}  # classes
WIDTH = 215.0  # of a bar, user units


@dataclass(frozen=True)
class Shown:
    """A verdict: its word, glyph and class."""

    word: Verdict

    @property
    def glyph(self) -> str:
        """The sign before the word."""
        return GLYPHS[self.word]

    @property
    def style(self) -> str:
        """The class of its element."""
        return STYLES[self.word]


@dataclass(frozen=True)
class CheckLine:
    """A deciding check: what the paper's form found, with the other form's interval below it."""

    verdict: Shown
    label: str
    bar: Markup
    effect: str
    interval: str
    unit: str
    detectable: str
    missing: str


@dataclass(frozen=True)
class Row:
    """A claim of the first screen."""

    name: str
    statement: str
    reported: str
    lines: list[CheckLine]
    verdict: Shown
    remark: str


@dataclass(frozen=True)
class Family:
    """The claims of one heading, and how many have which verdict."""

    title: str
    rows: list[Row] = field(default_factory=list)

    @property
    def tally(self) -> list[tuple[int, Verdict]]:
        """How many claims have each verdict that there is; the two decided ones are always said."""
        counts = Counter(row.verdict.word for row in self.rows)
        return [(counts[word], word) for word in GLYPHS if counts[word] or word in (SUPPORTED, CONTRADICTED)]


def families(judged: list[JudgedClaim], plan: Plan) -> list[Family]:
    """Return the paper's claims (C…), then those beyond it, as far as there are any."""
    papers = [claim for claim in judged if claim.name.startswith("C")]
    others = [claim for claim in judged if claim not in papers]
    titles = ("The paper’s claims", "Beyond the paper")
    return [
        Family(title, [_row(claim, plan) for claim in own])
        for title, own in zip(titles, (papers, others), strict=True)
        if own
    ]


def _row(claim: JudgedClaim, plan: Plan) -> Row:
    form = claim.forms[0]
    return Row(
        name=claim.name,
        statement=claim.statement_short,
        reported=minus(claim.reported_short),
        lines=[check_line(check, partners(claim, check), plan) for check in form.deciding],
        verdict=Shown(form.verdict),
        remark=_remark(form),
    )


def partners(claim: JudgedClaim, check: JudgedCheck) -> list[JudgedCheck]:
    """Return a check in each form of the claim that has it, the paper's first."""
    return [each for form in claim.forms for each in form.checks if each.name == check.name]


def _remark(form: JudgedForm) -> str:
    """Return what the verdict of a claim of several checks hides."""
    deciding = form.deciding
    if len(deciding) == 1:
        return "a gate failed" if form.verdict == NOT_TESTABLE else ""
    counts = Counter(check.verdict for check in deciding)
    counts.pop(form.verdict, None)
    return "; ".join(f"{n} of {len(deciding)}: {word}" for word, n in counts.items())


def check_line(check: JudgedCheck, forms: list[JudgedCheck], plan: Plan, seeds: bool = False) -> CheckLine:
    """Return a check as a line. forms: the same check of every form, to be drawn together. seeds: with their dots."""
    effect, between = interval(check.effect, check.ci_low, check.ci_high, check.smallest_effect)
    drawn = [line_of(each, method_of(each, plan), seeds) for each in forms]
    return CheckLine(
        verdict=Shown(check.verdict),
        label=check.label,
        bar=bar(drawn, check.reported_values, check.smallest_effect, WIDTH, told(check.label, check, check.unit)),
        effect="" if isnan(check.effect) else effect,
        interval=between,
        unit=_unit(check.unit, effect),
        detectable=detectable(check),
        missing=why_missing(check),
    )


def _unit(unit: str, effect: str) -> str:
    return "point" if unit == "points" and effect.lstrip("+−") == "1" else unit


def detectable(check: JudgedCheck) -> str:
    """Return the effect that would have been found: ``≥ 2.5``; empty where there is no spread to judge by."""
    least = check.minimum_detectable_effect
    return "" if isnan(least) else f"≥ {plain(least, 2)}"


def why_missing(check: JudgedCheck) -> str:
    """Return why a check has no interval, or nothing at all; empty where it has one."""
    if not isnan(check.ci_low):
        return ""
    if check.verdict in UNDECIDED:
        return f"{check.verdict}: {check.note}" if check.note else check.verdict
    if check.n_seeds < 3:
        return "no interval: fewer than three seeds"
    return "no interval: all seeds alike"


def needed(check: JudgedCheck) -> str:
    """Return what would have decided an undecided check."""
    if check.verdict != INCONCLUSIVE or isnan(check.seeds_needed):
        return ""
    what = "more test images" if isinf(check.seeds_needed) else f"{plain(check.seeds_needed)} seeds per arm"
    return f"To find {amount(check.smallest_effect, check.unit)}, the smallest effect that matters, takes {what}."


def reached(check: JudgedCheck) -> str:
    """Return how wide the interval is, beside how wide it was planned; empty where neither is known."""
    if isnan(check.planned_half_width):
        return ""
    planned = f"Half of the interval was planned as {amount(check.planned_half_width, check.unit)}"
    return f"{planned}." if isnan(check.half_width) else f"{planned}, and is {plain(check.half_width, 2)}."


def form_marks(judged: list[JudgedClaim], plan: Plan) -> list[tuple[str, str]]:
    """Return for each form that a claim is judged of its method, and the arms with what they decide."""
    found: dict[str, str] = {}
    for place, form in ((place, form) for claim in judged for place, form in enumerate(claim.forms)):
        for check in form.deciding:
            for each in check.comparisons:
                method = method_of(check, plan)
                baseline = plan.marks[method].baseline if method in plan.marks else ""
                if method and each.control.variant == baseline:
                    arms = f"{plan.label('variant', each.treatment.variant)} − {plan.label('variant', baseline)}"
                    found.setdefault(method, f"{arms}: {'beside it' if place else 'decides'}")
    return list(found.items())


def method_of(check: JudgedCheck, plan: Plan) -> str:
    """Return the method of a check's treatment, whose mark it has."""
    variant = check.comparisons[0].treatment.variant if check.comparisons else ""
    return plan.methods.get(variant, next(iter(plan.marks), ""))


def line_of(found: Finding, method: str, seeds: bool = False) -> Line:
    """Return what a bar draws of a finding."""
    dots: list[float] = []
    if seeds and isinstance(found, JudgedCheck):
        dots = [each.effect for each in found.seed_effects]
    faint = found.verdict == NOT_TESTABLE
    return Line(method, found.effect, found.ci_low, found.ci_high, found.smallest_effect, dots, faint)


def told(label: str, found: Finding, unit: str) -> str:
    """Return what a bar shows, in words."""
    effect, between = interval(found.effect, found.ci_low, found.ci_high, found.smallest_effect)
    if isnan(found.effect):
        return f"{label}: {found.verdict}"
    return f"{label}: {effect}{f' ({between})' if between else ''} {unit}, {found.verdict}"
