"""The claims and their verdicts as the page shows them, from the judged claims (`ddcl.report.claims.judged`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf, isnan

from ddcl.plan.plan import Cell, Plan
from ddcl.report.claims.contrasts import Address
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim, JudgedComparison, JudgedForm, JudgedGate
from ddcl.report.claims.verdicts import (
    CONTRADICTED,
    DIFFERS,
    INCONCLUSIVE,
    NO_EFFECT,
    NOT_RUN,
    NOT_TESTABLE,
    SUPPORTED,
)
from ddcl.report.claims.verdicts import Verdict as Word
from ddcl.report.sources import histories_of, source_of
from ddcl.schema.claims import MONITOR

# verdict -> a symbol that stands out without its colour, and the name of its style
LOOKS: dict[Word, tuple[str, str]] = {
    SUPPORTED: ("▲", "supported"),
    CONTRADICTED: ("▼", "contradicted"),
    NO_EFFECT: ("■", "none"),
    INCONCLUSIVE: ("◆", "inconclusive"),
    NOT_TESTABLE: ("✕", "absent"),
    NOT_RUN: ("○", "absent"),
    DIFFERS: ("≠", "absent"),
}
STATES = {"passed": "✓ passed", "failed": "✕ failed", "undecided": "? undecided"}  # of gates
CONDITIONS = ("dataset", "augmentation", "evaluation", "perturbation", "part", "metric")


@dataclass(frozen=True)
class Verdict:
    """A verdict: its word, symbol and style."""

    word: Word

    @property
    def symbol(self) -> str:
        """The symbol beside the word."""
        return LOOKS[self.word][0]

    @property
    def style(self) -> str:
        """The class of its element."""
        return LOOKS[self.word][1]


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim. arms: (label, card's anchor or empty) of treatment and control.

    places: anchors of both arms' values, as far as they are on the page; not of values that are taken off both.
    """

    arms: list[tuple[str, str]]
    places: list[str]
    conditions: str
    effect: str
    p: str
    n: str
    verdict: Verdict
    note: str


@dataclass(frozen=True)
class Gate:
    """A gate and its arm. effect: points with the interval, and the least that is needed. text: what is so, or not."""

    label: str
    arm: str
    state: str
    effect: str
    text: str


@dataclass(frozen=True)
class Claim:
    """A claim and a form, what was found, the gates of its arms, and the comparisons that it rests on.

    papers: whether it is the form whose verdict is that of the paper's claim.
    """

    name: str
    papers: bool
    statement: str
    source: str
    reported: str
    verdict: Verdict
    effect: str
    n: str
    power: str
    note: str
    gates: list[Gate]
    comparisons: list[Comparison]


def claim_lines(judged: list[JudgedClaim], plan: Plan, anchors: Mapping[str, str]) -> list[Claim]:
    """Return the claims as they are shown.

    anchors: dataset/variant/augmentation -> the anchor of the card; source -> that of its values (`cards.Cards`).
    """
    return [_claim(claim, form, plan, anchors) for claim in judged for form in claim.forms]


def _claim(claim: JudgedClaim, form: JudgedForm, plan: Plan, anchors: Mapping[str, str]) -> Claim:
    headline = form.headline
    used = {key for check in form.checks for each in check.comparisons for key in each.gates}
    return Claim(
        name=form.name,
        papers=form is claim.forms[0],
        statement=claim.statement_of(form),
        source=claim.source,
        reported=claim.reported,
        verdict=Verdict(form.verdict),
        effect=effect_text(headline.effect, (headline.ci_low, headline.ci_high), headline.unit),
        n=n_text({"seeds": headline.n_seeds, "images": headline.n_images, "comparisons": len(headline.comparisons)}),
        power=power_text(headline) if form.verdict == INCONCLUSIVE else "",
        note=form.note,
        gates=[_gate(each) for each in claim.gates if each.key in used],
        comparisons=[_comparison(each, check, plan, anchors) for check in form.checks for each in check.comparisons],
    )


def _gate(gate: JudgedGate) -> Gate:
    """Return a gate as it is shown: with its numbers, and what follows where it is failed."""
    unit = "points" if gate.compared else "%"
    if gate.compared:
        least = f"at least {number(gate.least)} points" if gate.least else "above 0"
    elif gate.reference is None:
        least = "a published number of the same recipe, and none is known"
    else:
        least = f"at least {number(gate.reference + gate.least)} %, published {number(gate.reference)} %"
    paper = "" if gate.reported_value is None else f"; in the paper {number(gate.reported_value, '+')}"
    found = effect_text(gate.effect, (gate.ci_low, gate.ci_high), unit)
    text = {"failed": gate.follows, "undecided": "It is not decided, and closes nothing."}.get(
        gate.state, gate.statement
    )
    return Gate(gate.label, gate.arm, STATES[gate.state], f"{found}, needed {least}{paper}", text)


def power_text(check: JudgedCheck) -> str:
    """Return what would have decided a check."""
    found = []
    if not isnan(check.minimum_detectable_effect):
        least = f"{number(check.minimum_detectable_effect)} {check.unit}".strip()
        found.append(f"an effect of {least} or more would probably have been found")
    if not isnan(check.seeds_needed):
        needs = "more test images" if isinf(check.seeds_needed) else f"{number(check.seeds_needed)} seeds per arm"
        found.append(f"the smallest effect that matters of {number(check.smallest_effect)} {check.unit} needs {needs}")
    return "; ".join(found)


def _comparison(each: JudgedComparison, check: JudgedCheck, plan: Plan, anchors: Mapping[str, str]) -> Comparison:
    differing = each.differing
    cells = (each.treatment, each.control)
    arms = [(_label(cell, differing, plan), anchors.get("/".join(cell[:3]), "")) for cell in cells]
    places = [_place(cell, plan, anchors) for cell in cells]
    conditions = [plan.label(key, getattr(each.treatment, key)) for key in CONDITIONS]
    return Comparison(
        arms=list(dict.fromkeys(arms)),
        places=[place for place in dict.fromkeys(places) if place],
        conditions=", ".join(filter(None, [check.name, *conditions])),
        effect=effect_text(each.effect, (each.ci_low, each.ci_high), check.unit),
        p=p_text(each),
        n=n_text({"seeds": each.n_seeds, "images": each.n_images}),
        verdict=Verdict(each.verdict),
        note=each.note,
    )


def _label(cell: Address, differing: list[str], plan: Plan) -> str:
    """Return how an arm is printed: its variant, and what it differs in from the other: ``DDCL (CAug)``."""
    variant, words = plan.label("variant", cell.variant), [plan.label(key, getattr(cell, key)) for key in differing]
    return f"{variant} ({', '.join(words)})" if words else variant


def _place(cell: Address, plan: Plan, anchors: Mapping[str, str]) -> str:
    """Return the anchor of an arm's values in its card, or of its curves; empty where there is none."""
    run = next((run for run in plan.runs if run.arm == cell[:3]), None)
    if run is None:
        return ""
    if cell.evaluation == MONITOR:
        return anchors.get(histories_of([run])[0], "")
    record = plan.record(run.names, cell.eval_dataset, cell.evaluation)
    return anchors.get(source_of(record, Cell(cell.part, cell.perturbation, cell.metric)), "") if record else ""


def effect_text(effect: float, interval: tuple[float, float], unit: str) -> str:
    """Return ``+0.31 (−0.20 to +0.82) points``; a dash where nothing was measured."""
    if isnan(effect):
        return "–"
    low, high = (number(end, "+") for end in interval)
    between = "" if isnan(interval[0]) else f" ({low} to {high})"
    return f"{number(effect, '+')}{between} {unit}".strip()


def p_text(comparison: JudgedComparison) -> str:
    """Return ``p = 0.012 (Holm 0.024)``, as far as there is any."""
    found = "" if isnan(comparison.p) else f"p = {number(comparison.p)}"
    return found if isnan(comparison.p_holm) else f"{found} (Holm {number(comparison.p_holm)})".strip()


def n_text(counts: Mapping[str, int]) -> str:
    """Return how many seeds, images and comparisons an effect rests on; what there is none of is left out."""
    return ", ".join(f"{number(n)} {name.removesuffix('s') if n == 1 else name}" for name, n in counts.items() if n)


def number(value: float, sign: str = "") -> str:
    """Return a number with three digits, or with a sign and two decimals."""
    if isnan(value):
        return "–"
    if abs(value) >= 100 or (float(value).is_integer() and not sign) or value == 0:
        form = f"{sign if value else ''},.0f"
    elif sign:
        form = "+.2f" if round(value, 2) else "z.2f"  # no sign before 0.00
    else:
        form = ".3g"
    return f"{value:{form}}".replace("-", "−")
