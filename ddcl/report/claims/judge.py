"""Does the paper's claim hold on what was measured? Each claim's forms, checks, comparisons, effects and verdicts.

Effects are positive in favour of the claim. The rules are in `ddcl.report.claims.verdicts`, the intervals in
`ddcl.report.claims.inference`; docs/statistics.md says what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from ddcl.report.claims.contrasts import Cells, comparisons
from ddcl.report.claims.correctness import Correctness
from ddcl.report.claims.endings import ended_outlook
from ddcl.report.claims.gates import GateResult, joint, needed, passed_gates, planned_gates
from ddcl.report.claims.inference import Estimate
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim, JudgedComparison, JudgedForm, JudgedGate
from ddcl.report.claims.notes import said_of
from ddcl.report.claims.pooling import Evidence, Pool, Result, ended_pool_of, pool
from ddcl.report.claims.verdicts import (
    INCONCLUSIVE,
    NO_EFFECT,
    NOT_RUN,
    NOT_TESTABLE,
    UNDECIDED,
    Found,
    Verdict,
    absent,
    adjusted_p,
    decide,
    of_check,
    of_claim,
    outlook,
)
from ddcl.report.collected import Collected
from ddcl.report.multiplicity import holm
from ddcl.schema.claims import LETTERS, CheckSpec, ClaimSpec, Form


def judge_claims(found: Collected) -> list[JudgedClaim]:
    """Return every claim of the suite with its verdicts; a suite without claims has none."""
    if not found.plan.claims:
        return []
    evidence = gathered(found)
    return [judge(name, spec, evidence) for name, spec in found.plan.claims.items()]


def gathered(found: Collected) -> Evidence:
    """Return the comparisons of all claims, what was measured of them, and the gates of their arms."""
    plan = found.plan
    cells = Cells.of(found, [check for spec in plan.claims.values() for check in spec.checks])
    own = {
        (name, check.name, form): comparisons(check, form, cells)
        for name, spec in plan.claims.items()
        for check in spec.checks
        for form in LETTERS
        if check.kind == "cells"
    }
    checks = {(name, check.name): check for name, spec in plan.claims.items() for check in spec.checks}
    keys = [
        key
        for place, several in own.items()
        for each in several
        for key in needed(checks[place[:2]], each, plan, cells)
    ]
    gates = planned_gates(keys, plan, cells)
    correctness = Correctness(plan, found.results, (*chain.from_iterable(own.values()), *gates.values()))
    evidence = Evidence(found, cells, own, correctness, plan.statistics, {})
    return evidence._replace(gates=passed_gates(keys, gates, plan, evidence.estimated))


def judge(name: str, spec: ClaimSpec, evidence: Evidence) -> JudgedClaim:
    """Return one claim with the verdict of each form of DDCL."""
    pools = {
        (check.name, form): ended_pool_of(form, check, evidence)
        if check.kind == "ended"
        else pool((name, check.name, form), check, evidence)
        for check in spec.checks
        for form in spec.forms
    }
    gates = {gate.key: gate for own in pools.values() for each in own.results for gate in each.gates}
    return JudgedClaim(
        name=name,
        statement=spec.statement.strip(),
        statement_short=spec.statement_short,
        source=spec.source,
        reported=spec.reported.strip(),
        reported_short=spec.reported_short,
        decided_by=spec.decided_by,
        forms=[_judged_form(name, form, spec, pools, evidence) for form in spec.forms],
        gates=[_judged_gate(each) for each in gates.values()],
    )


def _judged_form(
    name: str, form: Form, spec: ClaimSpec, pools: dict[tuple[str, Form], Pool], evidence: Evidence
) -> JudgedForm:
    level = 1 - evidence.rules.confidence
    checks = []
    for check in spec.checks:
        if form in check.forms:
            family = [pools[other.name, form] for other in spec.checks if other.family == check.family]
            planned = evidence.found.plan.planned_half_widths.get(spec.row(name, form), {}).get(check.name, np.nan)
            checks.append(_judged_check(check, pools[check.name, form], family, planned, evidence))
    deciding = [(each.verdict, each.p) for each in checks if each.decides]
    adjusted = iter(adjusted_p(deciding))
    checks = [each.model_copy(update={"p_holm": next(adjusted)}) if each.decides else each for each in checks]
    return JudgedForm(
        name=spec.row(name, form), form=form, verdict=of_claim(deciding, spec.decided_by, level), checks=checks
    )


def _judged_check(
    check: CheckSpec, own: Pool, family: Sequence[Pool], planned_half_width: float, evidence: Evidence
) -> JudgedCheck:
    results = _judged(own.results, [each for pool in family for each in pool.results], evidence)
    verdict, notes = _verdict(own, results, 1 - evidence.rules.confidence)
    outlooks = (np.nan, np.nan)
    if verdict not in UNDECIDED:
        rules = evidence.rules
        outlooks = (
            ended_outlook(check, results, rules)
            if check.kind == "ended"
            else outlook(own.estimate, own.smallest, rules)
        )
    return JudgedCheck(
        name=check.name,
        label=check.label,
        statement=check.statement.strip(),
        decides=check.decides,
        why=check.why,
        family=check.family,
        unit=check.unit,
        smallest_effect=own.smallest,
        reported_values=check.reported_values,
        gate=joint(gate for each in results for gate in each.gates) if own.testable else "failed",
        minimum_detectable_effect=float(outlooks[0]),
        seeds_needed=float(outlooks[1]),
        planned_half_width=planned_half_width,
        n_seeds=own.n_seeds,
        n_images=_images_of(results),
        verdict=verdict,
        note="; ".join(filter(None, (own.note, *notes, *said_of(check, results, evidence.found)))),
        comparisons=[_comparison(each) for each in results],
        seed_effects=list(own.per_seed),
        p_holm=np.nan,
        **_numbers(own.estimate),
    )


def _images_of(results: Sequence[Result]) -> int:
    """Return the test images of all test sets together; a comparison that was lost takes none away."""
    images: dict[str, int] = {}
    for each in results:
        name = each.comparison.treatment.eval_dataset
        images[name] = max(images.get(name, 0), each.n_images)
    return sum(images.values())


def _verdict(own: Pool, results: Sequence[Result], level: float) -> tuple[Verdict, list[str]]:
    """Return the verdict of a check, by the rule of docs/statistics.md, and what must be said beside it."""
    verdicts, estimate = [each.verdict for each in results], own.estimate
    if (nothing := absent(verdicts)) is not None:
        note = "" if own.note or nothing != NOT_RUN else "no comparison has a seed in which both arms have values"
        return nothing, [note]
    if not own.testable:
        return NOT_TESTABLE, ["more than half of the comparisons fail a gate"]
    equivalence = _equivalence(estimate, own.smallest)
    found = Found(estimate.effect, estimate.p, equivalence, own.n_seeds, estimate.spans_zero)
    verdict = of_check(decide(found, level), verdicts)
    outside = verdict == NO_EFFECT and (estimate.low > 0 or estimate.high < 0)
    return verdict, ["0 is outside the interval, but what is inside is too small to matter"] if outside else []


def _equivalence(estimate: Estimate, smallest: float) -> float:
    """Return the p of the equivalence tests; of shares of runs, which have none, whether the interval says so.

    NaN where there is no interval: what was not tested does not count in a correction.
    """
    if estimate.seeds or np.isnan(estimate.low):
        return estimate.p_equivalence(smallest)
    return 0.0 if -smallest < estimate.low and estimate.high < smallest else 1.0


def _judged(results: Sequence[Result], family: Sequence[Result], evidence: Evidence) -> list[Result]:
    """Return the comparisons with p and verdict, both tests after Holm's correction over the family."""
    level = 1 - evidence.rules.confidence
    tested = [each for each in family if each.measured and each.verdict == INCONCLUSIVE]
    p = holm([each.estimate.p for each in tested])
    equivalence = holm([_equivalence(each.estimate, each.smallest) for each in tested])
    adjusted = {
        id(each): Found(each.estimate.effect, *both, len(each.comparison.seeds), each.estimate.spans_zero)
        for each, both in zip(tested, zip(p, equivalence, strict=True), strict=True)
    }
    return [
        replace(each, verdict=decide(adjusted[id(each)], level), p_holm=adjusted[id(each)].p)
        if id(each) in adjusted
        else each
        for each in results
    ]


def _numbers(estimate: Estimate) -> dict[str, Any]:
    """Return the fields of a finding that come from its estimate."""
    ends = {"effect": estimate.effect, "ci_low": estimate.low, "ci_high": estimate.high, "p": estimate.p}
    return {name: float(value) for name, value in ends.items()} | {"ci_method": estimate.method}


def _comparison(result: Result) -> JudgedComparison:
    """Return a comparison with its verdict, and the cells that are taken off its arms: those of the other sign."""
    own = result.comparison
    minus = {term.sign: term.address for term in own.terms[2:]}
    return JudgedComparison(
        treatment=own.treatment,
        control=own.control,
        treatment_minus=minus.get(-1),
        control_minus=minus.get(1),
        seeds=list(own.seeds),
        seed_effects=list(result.per_seed),
        n_images=result.n_images,
        smallest_effect=result.smallest,
        p_holm=float(result.p_holm),
        gate=joint(result.gates),
        gates=[gate.key.text for gate in result.gates],
        verdict=result.verdict,
        note=result.note,
        sources=list(own.sources),
        **_numbers(result.estimate),
    )


def _judged_gate(result: GateResult) -> JudgedGate:
    own = result.comparison
    return JudgedGate(
        name=result.key.gate,
        arm=result.key.arm,
        label=result.spec.label,
        statement=result.spec.statement.strip(),
        follows=result.spec.follows.strip(),
        evaluation=own.treatment.evaluation if own else "",
        effect=float(result.estimate.effect),
        ci_low=float(result.estimate.low),
        ci_high=float(result.estimate.high),
        n_seeds=len(own.seeds) if own else 0,
        compared=bool(result.spec.control),
        unit=result.spec.unit or ("points" if result.spec.control else "%"),
        reference=result.spec.reference,
        least=result.spec.least,
        reported_value=result.spec.reported_value,
        state=result.state,
        sources=list(own.sources) if own else [],
    )
