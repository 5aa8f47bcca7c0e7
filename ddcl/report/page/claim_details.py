"""What a claim opens: its gates, its checks by form, and the comparisons of each check as a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

from markupsafe import Markup

from ddcl.plan.plan import Cell, Plan
from ddcl.report.claims.contrasts import Address
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim, JudgedComparison, JudgedForm, JudgedGate
from ddcl.report.claims.verdicts import UNDECIDED
from ddcl.report.numbers import count, interval, minus, plain, probability, signed
from ddcl.report.page.bars import bar
from ddcl.report.page.claim_rows import CheckLine, Shown, check_line, line_of, needed, reached, told
from ddcl.report.sources import histories_of, source_of
from ddcl.report.tables.published import paper_difference
from ddcl.schema.claims import MONITOR, Reported
from ddcl.schema.paper_differences import BASELINE, WHOLE

STATES = {"passed": "✓", "failed": "✕", "undecided": "?"}
SMALL = 118.0  # width of a bar in a grid, user units
AXES = ("dataset", "eval_dataset", "augmentation", "perturbation", "part", "metric")  # what comparisons may differ in


@dataclass(frozen=True)
class Gate:
    """A gate of one arm: whether it is passed, what was found, and what was needed."""

    sign: str
    state: str
    label: str
    arm: str
    found: str
    needed: str
    text: str


@dataclass(frozen=True)
class GridCell:
    """A comparison in a grid.

    paper: the paper's own value, where it has one. places: anchors of its values on the page. unseen: pretraining had
    no such distortion.
    """

    id: str
    bar: Markup
    effect: str
    interval: str
    paper: str
    p: str
    verdict: Shown
    note: str
    places: list[str]
    cards: list[tuple[str, str]]
    unseen: bool


class Grid(NamedTuple):
    """The comparisons of a check: columns, and rows with a cell or None (none was planned) for each column."""

    caption: str
    corner: str
    columns: list[str]
    rows: list[tuple[str, list[GridCell | None]]]

    @property
    def paper(self) -> bool:
        """Whether the paper has any of its values."""
        return any(cell is not None and bool(cell.paper) for _, cells in self.rows for cell in cells)


@dataclass(frozen=True)
class FormOfCheck:
    """A check in one form: its arms, its line, p, what would have decided it, and its comparisons."""

    row: str
    arms: str
    method: str
    line: CheckLine
    p: str
    n: str
    needed: str
    note: str
    beside: bool
    grids: list[Grid]


@dataclass(frozen=True)
class Check:
    """A check with what it says, and each form of it. why: it does not decide."""

    name: str
    label: str
    statement: str
    why: str
    forms: list[FormOfCheck]


@dataclass(frozen=True)
class Details:
    """All that a claim opens."""

    name: str
    statement: str
    source: str
    reported: str
    gates: list[Gate]
    follows: list[str]
    checks: list[Check]


class Page(NamedTuple):
    """What of the page the details need: the plan, and the anchors of values and cards (`cards.Cards`)."""

    plan: Plan
    anchors: Mapping[str, str]


def details(claim: JudgedClaim, page: Page) -> Details:
    """Return what a claim opens."""
    names = dict.fromkeys(check.name for form in claim.forms for check in form.checks)
    failed = [gate for gate in claim.gates if gate.state == "failed"]
    return Details(
        name=claim.name,
        source=claim.source,
        statement=claim.statement,
        reported=minus(claim.reported),
        gates=[_gate(gate, page.plan) for gate in sorted(claim.gates, key=lambda gate: gate.name)],
        follows=list(dict.fromkeys(gate.follows for gate in failed)),
        checks=[_check(claim, name, page) for name in names],
    )


def _gate(gate: JudgedGate, plan: Plan) -> Gate:
    accuracy = gate.unit in ("points", "%")
    found, between = interval(gate.effect, gate.ci_low, gate.ci_high, 1.0 if accuracy else gate.least)
    if gate.compared:
        least = f"at least {plain(gate.least)} points, interval above 0" if gate.least else "interval above 0"
    elif not accuracy:
        least = f"at least {plain(gate.least)}"
    elif gate.reference is None:
        least = "a published number of the same recipe; none is known"
    else:
        least = f"at least {plain(gate.reference + gate.least)} % (published {plain(gate.reference)} %)"
    paper = "" if gate.reported_value is None else f"; the paper has +{plain(gate.reported_value)}"
    if not gate.compared:
        found = found.lstrip("+")
    text = f"{found} {gate.unit} ({between})" if between else "–" if isnan(gate.effect) else f"{found} {gate.unit}"
    return Gate(
        STATES[gate.state], gate.state, gate.label, _arm(gate.arm, plan), text, f"{least}{paper}", gate.statement
    )


def _arm(arm: str, plan: Plan) -> str:
    """Return an arm in words: ``digits/ddcl/caug`` → DDCL, CAug; with the data set where there are several."""
    own, _, other = arm.partition(" on ")
    dataset, variant, augmentation = own.split("/")
    words = [plan.label("variant", variant), plan.label("augmentation", augmentation)]
    words += [plan.label("dataset", dataset)] * (len({run.dataset for run in plan.runs}) > 1)
    return ", ".join(words) + (f", on {plan.label('eval_dataset', other)}" if other else "")


def _check(claim: JudgedClaim, name: str, page: Page) -> Check:
    pairs = [(form, check) for form in claim.forms for check in form.checks if check.name == name]
    first = pairs[0][1]
    forms = [_form(form, check, place > 0, page) for place, (form, check) in enumerate(pairs)]
    return Check(name, first.label, first.statement, first.why, forms)


def _form(form: JudgedForm, check: JudgedCheck, beside: bool, page: Page) -> FormOfCheck:
    arms = _arms(check.comparisons[0], page.plan) if check.comparisons else form.form
    own = check.model_copy(update={"reported_values": None}) if beside else check  # the paper's are of its own form
    line = check_line(own, [own], page.plan, seeds=True)
    counts = [count(n, what) for n, what in ((check.n_seeds, "seed"), (check.n_images, "image")) if n]
    method = page.plan.methods.get(check.comparisons[0].treatment.variant, "") if check.comparisons else ""
    grids = _grids(form.name, check, page) if check.verdict not in UNDECIDED else []
    return FormOfCheck(
        row=form.name,
        arms=arms,
        method=method,
        line=line,
        p=probability(check.p),
        n=", ".join(counts),
        needed=" ".join(filter(None, (needed(check), reached(check)))),
        note=check.note,
        beside=beside,
        grids=grids,
    )


def _arms(each: JudgedComparison, plan: Plan) -> str:
    """Return treatment − control, with what they differ in beside their methods."""
    labels = []
    for cell in (each.treatment, each.control):
        words = [word(plan, key, getattr(cell, key)) for key in each.differing if key != "augmentation"]
        label = plan.label("variant", cell.variant)
        labels.append(f"{label} ({', '.join(words)})" if words else label)
    return " − ".join(labels)


def _grids(row: str, check: JudgedCheck, page: Page) -> list[Grid]:
    """Return one grid for each pair of arms that the check compares."""
    by_arms: dict[str, list[tuple[int, JudgedComparison]]] = {}
    for number, each in enumerate(check.comparisons):
        by_arms.setdefault(_arms(each, page.plan), []).append((number, each))
    several = len(by_arms) > 1
    return [_grid(arms if several else "", row, check, own, page) for arms, own in by_arms.items()]


def _grid(caption: str, row: str, check: JudgedCheck, own: list[tuple[int, JudgedComparison]], page: Page) -> Grid:
    """Lay comparisons out: augmentations (or data sets) down, all that else differs across."""
    cells = [each.treatment for _, each in own]
    varying = [key for key in AXES if len({getattr(cell, key) for cell in cells}) > 1] or ["augmentation"]
    down = "augmentation" if "augmentation" in varying else varying[0]
    across = [key for key in varying if key != down]
    columns: dict[tuple[str, ...], str] = {}
    rows: dict[str, dict[tuple[str, ...], GridCell]] = {}
    for number, each in own:
        key = tuple(getattr(each.treatment, name) for name in across)
        words = (word(page.plan, name, value) for name, value in zip(across, key, strict=True))
        columns.setdefault(key, ", ".join(words) or "effect")
        cell = _cell(f"c-{row}-{check.name}-{number}", each, check, page)
        rows.setdefault(word(page.plan, down, getattr(each.treatment, down)), {})[key] = cell
    body = [(label, [found.get(key) for key in columns]) for label, found in rows.items()]
    return Grid(
        caption, "pretrained with" if down == "augmentation" else down.replace("_", " "), list(columns.values()), body
    )


def word(plan: Plan, key: str, name: str) -> str:
    """Return how a name is printed, a metric by its heading."""
    return plan.heading(name) if key == "metric" else plan.label(key, name)


def _cell(name: str, each: JudgedComparison, check: JudgedCheck, page: Page) -> GridCell:
    effect, between = interval(each.effect, each.ci_low, each.ci_high, each.smallest_effect)
    cells = (each.treatment, each.control)
    line = line_of(each, page.plan.methods.get(each.treatment.variant, ""))._replace(seeds=each.seed_effects)
    cards = [(page.plan.label("variant", cell.variant), page.anchors.get("/".join(cell[:3]), "")) for cell in cells]
    places = [_place(cell, page) for cell in cells]
    paper = _paper(each, page.plan)
    reported = None if paper is None else Reported(low=paper, high=paper, n=1, same_quantity=True)
    seen = page.plan.seen.get(each.treatment.augmentation, {}).get(each.treatment.perturbation, "")
    return GridCell(
        id=name,
        bar=bar([line], reported, each.smallest_effect, SMALL, told(check.label, each, check.unit)),
        effect=effect,
        interval=between,
        paper="" if paper is None else signed(paper, 2),
        p=probability(each.p_holm),
        verdict=Shown(each.verdict),
        note=each.note,
        places=[place for place in dict.fromkeys(places) if place],
        cards=[card for card in dict.fromkeys(cards) if card[1]],
        unseen=seen == "unseen",
    )


def _paper(each: JudgedComparison, plan: Plan) -> float | None:
    """Return the paper's own value of a comparison, in points: it has DDCL's features, and DIR, against SimSiam's."""
    own, control = each.treatment, each.control
    baseline = own._replace(variant=BASELINE, part=WHOLE)
    if each.treatment_minus or each.control_minus or control != baseline:
        return None
    return paper_difference(own._asdict(), plan)


def _place(cell: Address, page: Page) -> str:
    """Return the anchor of an arm's values in its card, or of its curves; empty where there is none."""
    run = page.plan.by_arm.get(cell[:3])
    if run is None:
        return ""
    if cell.evaluation == MONITOR:
        return page.anchors.get(histories_of([run])[0], "")
    record = page.plan.record(run.names, cell.eval_dataset, cell.evaluation)
    if not record:
        return ""
    return page.anchors.get(source_of(record, Cell(cell.part, cell.perturbation, cell.metric)), "")
