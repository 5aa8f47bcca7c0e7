"""The rule from intervals to verdicts, and what an undecided one would have needed. See docs/statistics.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from ddcl.report.claims.inference import Estimate, combined, holm
from ddcl.report.claims.power import detectable_effect, seeds_needed, with_seeds
from ddcl.schema.claims import StatisticsSpec

Verdict = Literal["supported", "contradicted", "inconclusive", "not run", "protocol differs"]
SUPPORTED: Final = "supported"
CONTRADICTED: Final = "contradicted"
INCONCLUSIVE: Final = "inconclusive"
NOT_RUN: Final = "not run"
DIFFERS: Final = "protocol differs"
UNDECIDED = (NOT_RUN, DIFFERS)


def by_sign(effect: float, p: float, level: float) -> Verdict:
    """Return the verdict of an effect (positive: for the claim) by its p, at a level such as 0.05."""
    if np.isnan(p) or p >= level or effect == 0:
        return INCONCLUSIVE
    return SUPPORTED if effect > 0 else CONTRADICTED


def of_pool(estimate: Estimate, comparisons: Sequence[str], level: float) -> Verdict:
    """Return the verdict of a check: that of its pooled effect, unless one of its comparisons says the opposite."""
    verdict = by_sign(estimate.effect, estimate.p, level)
    opposite = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED}.get(verdict)
    return INCONCLUSIVE if opposite in comparisons else verdict


def of_claim(checks: Sequence[tuple[str, float, float]], decided_by: str, level: float) -> Verdict:
    """Return the verdict of a claim from its deciding checks' (verdict, effect, p).

    `all`: supported if every check that was run is, contradicted if one is: no conjunction holds without each part.
    `any`: supported if one check is, after Holm's correction over the checks; contradicted if every one is.
    """
    run = [check for check in checks if check[0] not in UNDECIDED]
    if not run:
        return DIFFERS if any(verdict == DIFFERS for verdict, *_ in checks) else NOT_RUN
    found = [verdict for verdict, *_ in run]
    if decided_by == "any":
        adjusted = holm([p for *_, p in run])
        kept = [name for name, p in zip(found, adjusted, strict=True) if name != SUPPORTED or p < level]
        if SUPPORTED in kept:
            return SUPPORTED
        return CONTRADICTED if set(found) == {CONTRADICTED} else INCONCLUSIVE
    if CONTRADICTED in found:
        return CONTRADICTED
    return SUPPORTED if set(found) == {SUPPORTED} else INCONCLUSIVE


def outlook(estimate: Estimate, smallest: float, rules: StatisticsSpec) -> tuple[float, float]:
    """Return the effect that the evidence could have found, and the seeds that would find the smallest that matters.

    NaN where there is no spread over seeds to judge by; the seeds are infinite where the test images alone spread more.
    """
    spread = combined([*estimate.seeds, *estimate.images], rules.confidence)
    detectable = detectable_effect(spread, rules.confidence, rules.power)
    if np.isnan(detectable) or not estimate.seeds:
        return detectable, np.nan
    others = with_seeds(estimate.seeds, estimate.images, rules.confidence)
    needed = seeds_needed(smallest, others, rules.confidence, rules.power)
    return detectable, np.inf if needed is None else float(needed)
