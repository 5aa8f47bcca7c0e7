"""The judged claims as one object: results/tables/claims.json, which page, figure, tables and LaTeX commands print.

`ddcl claims` writes it (`ddcl.report.claims.judge`); nobody else judges, but for `ddcl trace`.
"""

from __future__ import annotations

from math import inf, isnan, nan
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model
from ddcl.report.claims.contrasts import Address
from ddcl.report.claims.gates import State
from ddcl.report.claims.pooling import SeedEffect
from ddcl.report.claims.verdicts import UNDECIDED, Verdict
from ddcl.report.collected import Collected
from ddcl.schema.claims import JUDGED, Form, Reported

WHAT, MAKER = "verdicts on the claims", "ddcl claims"
INFINITE = "inf"
NAMING = ("part", "augmentation", "metric")


def _from_json(value: Any) -> Any:
    return nan if value is None else inf if value == INFINITE else value


def _to_json(value: float) -> float | str | None:
    return None if isnan(value) else INFINITE if value == inf else value


Number = Annotated[
    float, Field(allow_inf_nan=True), BeforeValidator(_from_json), PlainSerializer(_to_json)
]  # NaN is null in the file, as JSON has none, and infinity a word
Cell = Annotated[Address, PlainSerializer(Address._asdict)]
SeedEffectJson = Annotated[SeedEffect, PlainSerializer(SeedEffect._asdict)]


class Finding(Model):
    """An effect, positive in favour of the claim, with its interval; NaN where there is none.

    p_holm: p after Holm's correction: of a comparison over its family, of a check over those that decide the claim.
    n_images: 0 where the interval is not over test images. gate: the state of all gates of its arms together.
    """

    verdict: Verdict
    effect: Number
    ci_low: Number
    ci_high: Number
    ci_method: str
    p: Number
    p_holm: Number
    smallest_effect: float
    n_images: int
    gate: State
    note: str


class JudgedComparison(Finding):
    """Treatment against control, over the seeds in which both have values.

    treatment_minus, control_minus: where the arms' values are differences, the cells that are taken off them.
    seed_effects: of each seed. gates: names and arms of gates of the claim. sources: of all planned cells, measured or
    not (`ddcl.report.sources`).
    """

    treatment: Cell
    control: Cell
    treatment_minus: Cell | None
    control_minus: Cell | None
    seeds: list[int]
    seed_effects: list[float]
    gates: list[str]
    sources: list[str]

    @property
    def n_seeds(self) -> int:
        """Of how many seeds its effect is the mean."""
        return len(self.seeds)

    @property
    def differing(self) -> list[str]:
        """What the names of treatment and control must say beside their variants, as they differ in it."""
        return [key for key in NAMING if getattr(self.treatment, key) != getattr(self.control, key)]


class JudgedCheck(Finding):
    """A check, with its effect pooled over comparisons, and what an undecided one would have needed.

    planned_half_width: of its interval, before the runs; NaN where the suite says none.
    why: it does not decide. n_seeds: of the data set with the fewest. n_images: of all test sets together.
    smallest_effect: the mean of the pooled comparisons'. seeds_needed: infinite where no number of seeds is enough.
    """

    name: str
    label: str
    statement: str
    decides: bool
    why: str
    family: str
    unit: str
    reported_values: Reported | None
    minimum_detectable_effect: Number
    seeds_needed: Number
    planned_half_width: Number
    n_seeds: int
    seed_effects: list[SeedEffectJson]
    comparisons: list[JudgedComparison]

    @property
    def half_width(self) -> float:
        """Half of its interval, which was reached."""
        return (self.ci_high - self.ci_low) / 2

    @property
    def said(self) -> str:
        """Its verdict in few words: ``seen: supported (+0.41)``."""
        return f"{self.name}: {self.verdict}{'' if isnan(self.effect) else f' ({self.effect:+.2f})'}"


class JudgedGate(Model):
    """A gate of an arm (`ddcl.schema.gates`), and what follows where it is failed.

    compared: whether effect is a difference of two accuracies. Otherwise it is a value itself, which must reach a
    published one (reference) or simply `least`. unit: of effect and least.
    """

    name: str
    arm: str
    label: str
    statement: str
    follows: str
    evaluation: str
    effect: Number
    ci_low: Number
    ci_high: Number
    n_seeds: int
    compared: bool
    unit: str
    reference: float | None
    least: float
    reported_value: float | None
    state: State
    sources: list[str]

    @property
    def key(self) -> str:
        """How comparisons name it."""
        return f"{self.name} {self.arm}"


class JudgedForm(Model):
    """A form of DDCL and its verdict on a claim: a row of the tables, such as C1a."""

    name: str
    form: Form
    verdict: Verdict
    checks: list[JudgedCheck]

    @property
    def deciding(self) -> list[JudgedCheck]:
        """The checks that the verdict rests on."""
        return [check for check in self.checks if check.decides]

    @property
    def headline(self) -> JudgedCheck:
        """The first deciding check with the claim's verdict, else the first that was run, else the first."""
        run = [check for check in self.deciding if check.verdict not in UNDECIDED]
        return next((check for check in run if check.verdict == self.verdict), [*run, *self.deciding][0])

    @property
    def note(self) -> str:
        """What the deciding checks say, where there are several, and the note of the headline."""
        said = [check.said for check in self.deciding] if len(self.deciding) > 1 else []
        return "; ".join([*said, *filter(None, [self.headline.note])])


class JudgedClaim(Model):
    """A claim with a verdict for each form, the paper's first. source: where the paper makes it. gates: of all arms."""

    name: str
    statement: str
    statement_short: str
    source: str
    reported: str
    reported_short: str
    decided_by: Literal["all", "any"]
    forms: list[JudgedForm]
    gates: list[JudgedGate]

    def statement_of(self, form: JudgedForm) -> str:
        """Return the statement, with the form where there are several."""
        return self.statement if len(self.forms) == 1 else f"{self.statement.rstrip('.')} ({form.form})."

    @property
    def verdict(self) -> Verdict:
        """The verdict on the paper's claim: that of the form whose code and numbers were published."""
        return self.forms[0].verdict


class JudgedClaims(Sealed):
    """What `ddcl claims` found. plan: the digest of the plan. collected: the seal of the files it was found in."""

    SCHEMA: ClassVar[int] = 4
    suite: str
    plan: str
    collected: str
    claims: list[JudgedClaim]


def write_judged(claims: list[JudgedClaim], found: Collected) -> None:
    """Write the judged claims of what was collected."""
    plan = found.plan
    judged = JudgedClaims(suite=plan.suite, plan=plan.digest, collected=found.seal, claims=claims)
    sealed.write(_path(found), judged)


def read_judged(found: Collected) -> list[JudgedClaim]:
    """Return the judged claims of what was collected; a suite without claims has none, whatever lies in its folder.

    `UserError` if the file is missing, damaged, of another version, of another plan or of other collected files.
    """
    plan, path = found.plan, _path(found)
    if not plan.claims:
        return []
    judged = sealed.read(path, JudgedClaims, WHAT, MAKER)
    if judged.plan != plan.digest:
        other = f"suite {judged.suite}, plan {judged.plan}; the results are of suite {plan.suite}, plan {plan.digest}"
        raise UserError(f"{path}: verdicts on {other}; run `ddcl claims` again")
    if judged.collected != found.seal:
        raise UserError(f"{path}: was judged from collected files other than those beside it; run `ddcl claims` again")
    planned = [
        (name, form, [(check.name, check.decides) for check in spec.checks if form in check.forms])
        for name, spec in plan.claims.items()
        for form in spec.forms
    ]
    if planned != [
        (claim.name, own.form, [(check.name, check.decides) for check in own.checks])
        for claim in judged.claims
        for own in claim.forms
    ]:
        raise UserError(f"{path}: has other claims or checks than suite {plan.suite}; run `ddcl claims` again")
    return judged.claims


def _path(found: Collected) -> Path:
    return found.results / "tables" / JUDGED
