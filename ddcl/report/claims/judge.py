"""Does the paper's claim hold on what was measured? Each claim's checks, their comparisons, effects and verdicts.

Effects are positive in favour of the claim. The rules are in `ddcl.report.claims.verdicts`, the intervals in
`ddcl.report.claims.inference`; docs/statistics.md says what they mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ddcl.report.claims.contrasts import Cells, comparisons
from ddcl.report.claims.correctness import Correctness
from ddcl.report.claims.endings import ended_outlook
from ddcl.report.claims.inference import Estimate, holm
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim, JudgedComparison
from ddcl.report.claims.pooling import Evidence, Pool, Result, ended_pool_of, pool
from ddcl.report.claims.verdicts import (
    CONTRADICTED,
    DIFFERS,
    INCONCLUSIVE,
    NOT_RUN,
    SUPPORTED,
    UNDECIDED,
    Verdict,
    by_sign,
    of_claim,
    of_pool,
    outlook,
)
from ddcl.report.collected import Collected
from ddcl.schema.claims import CheckSpec, ClaimSpec, StatisticsSpec


def judge_claims(found: Collected) -> list[JudgedClaim]:
    """Return every claim of the suite with its verdict; a suite without claims has none."""
    specs, rules = found.plan.claims, found.plan.statistics
    if not specs:
        return []
    cells = Cells.of(found, [check for spec in specs.values() for check in spec.checks])
    own = {
        (name, check.name): comparisons(check, cells)
        for name, spec in specs.items()
        for check in spec.checks
        if check.kind == "cells"
    }
    correctness = Correctness(found.plan, found.results, (each for several in own.values() for each in several))
    evidence = Evidence(found, cells, own, correctness, rules)
    return [judge(name, spec, evidence) for name, spec in specs.items()]


def judge(name: str, spec: ClaimSpec, evidence: Evidence) -> JudgedClaim:
    """Return one claim with its verdict."""
    pools = [
        ended_pool_of(check, evidence) if check.kind == "ended" else pool(name, check, evidence)
        for check in spec.checks
    ]
    level = 1 - evidence.rules.confidence
    checks = []
    for check, own in zip(spec.checks, pools, strict=True):
        family = [each for other, each in zip(spec.checks, pools, strict=True) if other.family == check.family]
        checks.append(_judged_check(check, own, family, evidence))
    deciding = [(each.verdict, each.effect, each.p) for each in checks if each.decides]
    return JudgedClaim(
        name=name,
        statement=spec.statement.strip(),
        source=spec.source,
        verdict=of_claim(deciding, spec.decided_by, level),
        checks=checks,
    )


def _judged_check(check: CheckSpec, own: Pool, family: Sequence[Pool], evidence: Evidence) -> JudgedCheck:
    results = _judged(own.results, [each for pool in family for each in pool.results], evidence.rules)
    verdicts = [each.verdict for each in results]
    outlooks = (np.nan, np.nan)
    note = own.note
    verdict: Verdict = INCONCLUSIVE
    if not any(name not in UNDECIDED for name in verdicts):
        verdict = DIFFERS if DIFFERS in verdicts else NOT_RUN
        note = note or ("no comparison has a seed in which both arms have values" if verdict == NOT_RUN else "")
    else:
        if own.n_seeds > 1 or check.kind == "ended":
            verdict = of_pool(own.estimate, verdicts, 1 - evidence.rules.confidence)
        rules = evidence.rules
        outlooks = (
            ended_outlook(check, results, rules)
            if check.kind == "ended"
            else outlook(own.estimate, check.smallest_effect, rules)
        )
    images = {each.comparison.treatment.eval_dataset: each.n_images for each in results}
    text = "; ".join(part for part in (note, _size(own.estimate, check.smallest_effect), _counted(results)) if part)
    return JudgedCheck(
        name=check.name,
        label=check.label,
        statement=check.statement.strip(),
        decides=check.decides,
        family=check.family,
        unit=check.unit,
        smallest_effect=check.smallest_effect,
        minimum_detectable_effect=float(outlooks[0]),
        seeds_needed=float(outlooks[1]),
        n_seeds=own.n_seeds,
        n_images=sum(images.values()),
        verdict=verdict,
        note=text,
        comparisons=[_comparison(each) for each in results],
        **_numbers(own.estimate),
    )


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
        n_images=result.n_images,
        p_holm=float(result.p_holm),
        verdict=result.verdict,
        note=result.note,
        sources=list(own.sources),
        **_numbers(result.estimate),
    )


def _size(estimate: Estimate, smallest: float) -> str:
    """Return that an effect is too small to matter, where the interval says so."""
    small = estimate.low > -smallest and estimate.high < smallest
    return "the interval excludes effects that matter" if small else ""


def _judged(results: Sequence[Result], family: Sequence[Result], rules: StatisticsSpec) -> list[Result]:
    """Return the comparisons with p and verdict after Holm's correction over the family."""
    adjusted = dict(zip(map(id, family), holm([_tested_p(each) for each in family]), strict=True))
    judged = []
    for each in results:
        verdict, p = each.verdict, adjusted[id(each)]
        if verdict not in UNDECIDED:
            one_seed = len(each.comparison.seeds) == 1
            verdict = INCONCLUSIVE if one_seed else by_sign(each.estimate.effect, p, 1 - rules.confidence)
        judged.append(replace(each, verdict=verdict, p_holm=p))
    return judged


def _tested_p(result: Result) -> float:
    return np.nan if result.verdict in UNDECIDED else result.estimate.p


def _counted(results: Sequence[Result]) -> str:
    """Return how many comparisons say what, and in how many seeds were lost."""
    counts: Counter[str] = Counter(each.verdict for each in results)
    lines = [f"of {len(results)} comparisons {counts[SUPPORTED]} supported, {counts[CONTRADICTED]} contradicted"]
    lines = lines if results else []
    lines += [f"{counts[name]} {name}" for name in UNDECIDED if counts[name]]
    lost = sum(bool(each.comparison.lost) for each in results)
    return ", ".join([*lines, *([f"{lost} with lost seeds"] if lost else [])])
