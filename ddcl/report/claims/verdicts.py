"""The rule from intervals to verdicts, and how verdicts combine. docs/statistics.md has both as tables.

A conjunction (`all`) and an alternative (`any`) are each other's mirror: what contradicts the one as what supports the
other rests on one check of several, and so on Holm's correction over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from ddcl.report.claims.inference import Estimate, combined
from ddcl.report.claims.power import detectable_effect, seeds_needed, with_seeds
from ddcl.report.multiplicity import FEWEST_SEEDS, holm
from ddcl.schema.claims import StatisticsSpec

Verdict = Literal[
    "supported",
    "contradicted",
    "no effect that matters",
    "inconclusive",
    "not testable",
    "not run",
    "protocol differs",
]
SUPPORTED: Final = "supported"
CONTRADICTED: Final = "contradicted"
NO_EFFECT: Final = "no effect that matters"
INCONCLUSIVE: Final = "inconclusive"
NOT_TESTABLE: Final = "not testable"
NOT_RUN: Final = "not run"
DIFFERS: Final = "protocol differs"
DECIDED: tuple[Verdict, ...] = (SUPPORTED, CONTRADICTED, NO_EFFECT)
UNDECIDED = (NOT_RUN, DIFFERS)  # without evidence on the claim
OPPOSITE = {SUPPORTED: (CONTRADICTED,), CONTRADICTED: (SUPPORTED,), NO_EFFECT: (SUPPORTED, CONTRADICTED)}


class Found(NamedTuple):
    """An effect, positive for the claim, and its two tests.

    p: of no effect. equivalence: of one that matters; below the level where the interval is within ± the smallest
    effect that matters. n_seeds: those that it is the mean of. spans_zero: whether 0 is inside the interval, which only
    where p is not of the same test (shares of runs) can be so with a small p.
    """

    effect: float
    p: float
    equivalence: float
    n_seeds: int
    spans_zero: bool = False


def decide(found: Found, level: float) -> Verdict:
    """Return the verdict of an effect, at a level such as 0.05; NaN decides nothing.

    With p and equivalence as they are, it is the rule of the interval; with both after Holm's correction, that of a
    comparison within its family.
    """
    if found.n_seeds < FEWEST_SEEDS:
        return INCONCLUSIVE
    if found.equivalence < level:
        return NO_EFFECT
    if found.p < level and found.effect and not found.spans_zero:
        return SUPPORTED if found.effect > 0 else CONTRADICTED
    return INCONCLUSIVE


def of_check(own: Verdict, comparisons: Sequence[str]) -> Verdict:
    """Return the verdict of a check: that of its pooled effect, unless one of its comparisons says the opposite."""
    return INCONCLUSIVE if set(OPPOSITE.get(own, ())) & set(comparisons) else own


def absent(verdicts: Sequence[str]) -> Verdict | None:
    """Return why nothing was tested, where nothing was."""
    if any(verdict not in UNDECIDED for verdict in verdicts):
        return None
    return DIFFERS if DIFFERS in verdicts else NOT_RUN


def of_claim(checks: Sequence[tuple[str, float]], decided_by: str, level: float) -> Verdict:
    """Return the verdict of a claim from its deciding checks' (verdict, p).

    What was not run, or cannot be tested, is unknown: it can neither support a conjunction nor refute an alternative.
    """
    found = [verdict for verdict, _ in checks]
    if (nothing := absent(found)) is not None:
        return nothing
    if NOT_TESTABLE in found and (decided_by == "all" or not set(found) - {NOT_TESTABLE, *UNDECIDED}):
        return NOT_TESTABLE
    one: Verdict = CONTRADICTED if decided_by == "all" else SUPPORTED
    adjusted = adjusted_p(checks)
    if any(verdict == one and p < level for verdict, p in zip(found, adjusted, strict=True)):
        return one
    return next((every for every in DECIDED if set(found) == {every}), INCONCLUSIVE)


def adjusted_p(checks: Sequence[tuple[str, float]]) -> list[float]:
    """Return the checks' p after Holm's correction over those that were tested; NaN for the others."""
    return holm([np.nan if verdict in (*UNDECIDED, NOT_TESTABLE) else p for verdict, p in checks])


def outlook(estimate: Estimate, smallest: float, rules: StatisticsSpec) -> tuple[float, float]:
    """Return the effect that the evidence could have found, and the seeds that would find the smallest that matters.

    NaN where there is no spread over seeds to judge by; the seeds are infinite where the test images alone spread more.
    """
    if not estimate.seeds:
        return np.nan, np.nan
    spread = combined(estimate.seeds, estimate.images, rules.confidence)
    detectable = detectable_effect(spread, rules.confidence, rules.power)
    if np.isnan(detectable):
        return detectable, np.nan
    others = with_seeds(estimate.seeds, estimate.images, rules.confidence)
    needed = seeds_needed(smallest, others, rules.confidence, rules.power)
    return detectable, np.inf if needed is None else float(max(needed, FEWEST_SEEDS))
