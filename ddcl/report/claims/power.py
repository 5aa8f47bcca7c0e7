"""Power of t tests by the noncentral t: the smallest effect that would be found, and how many seeds it takes.

The normal approximation is too optimistic with few seeds: it asks for 4 per arm where the t test needs 6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import optimize, stats

from ddcl.report.claims.inference import Component, combined

MOST_SEEDS = 10_000  # a larger number is none that anybody will run
NORMAL_DF = 1e6  # from here on the t distribution is the normal one


def power(effect: float, spread: Component, confidence: float) -> float:
    """Return the probability that a two-sided t test finds `effect`. spread: variance and df of its estimate."""
    alpha, shift = 1 - confidence, abs(effect) / np.sqrt(spread.variance)
    if spread.df > NORMAL_DF:
        critical = stats.norm.isf(alpha / 2)
        return float(stats.norm.sf(critical - shift) + stats.norm.cdf(-critical - shift))
    critical = stats.t.isf(alpha / 2, spread.df)
    wrong_sign = np.nan_to_num(stats.nct.cdf(-critical, spread.df, shift))  # scipy: NaN for some below 1e-9
    return float(stats.nct.sf(critical, spread.df, shift) + wrong_sign)


def detectable_effect(spread: Component, confidence: float, wanted: float) -> float:
    """Return the effect that is found with probability `wanted`; NaN where there is no spread to judge by."""
    if not spread.variance > 0:
        return float("nan")
    top = float(np.sqrt(spread.variance) * stats.t.isf((1 - confidence) / 2, min(spread.df, NORMAL_DF)))
    while power(top, spread, confidence) < wanted:
        top *= 2
    return float(optimize.brentq(lambda effect: power(effect, spread, confidence) - wanted, 0.0, top, rtol=1e-6))


def seeds_needed(effect: float, spread: Callable[[int], Component], confidence: float, wanted: float) -> int | None:
    """Return the smallest number of seeds (from 2) that finds `effect` with probability `wanted`; None: no number does.

    spread: variance and df of the estimate with a number of seeds.
    """

    def enough(seeds: int) -> bool:
        return power(effect, spread(seeds), confidence) >= wanted

    high = 2
    while not enough(high):
        if high >= MOST_SEEDS:
            return None
        high = min(2 * high, MOST_SEEDS)
    low = high // 2
    while high - low > 1:  # not enough with `low` (or below 2), enough with `high`
        middle = (low + high) // 2
        low, high = (low, middle) if middle >= 2 and enough(middle) else (middle, high)
    return high


def with_seeds(
    seeds: Sequence[Component], images: Sequence[Component], confidence: float
) -> Callable[[int], Component]:
    """Return the spread that a measured estimate would have with another number of seeds and the same test images."""
    per_seed = [part.variance * (part.df + 1) for part in seeds]
    return lambda n: combined([Component(each / n, n - 1) for each in per_seed], images, confidence)


def pairs_needed(rate: float, confidence: float, wanted: float) -> int | None:
    """Return how many pairs of runs an exact sign test needs, where a share `rate` of pairs changes, all one way."""
    fewest = fewest_changes(confidence)
    if not 0 < rate <= 1:
        return None
    return next((n for n in range(fewest, MOST_SEEDS) if stats.binom.sf(fewest - 1, n, rate) >= wanted), None)


def fewest_changes(confidence: float) -> int:
    """Return the smallest number of changes, all one way, that an exact two-sided sign test calls significant."""
    return next(n for n in range(1, 100) if 2 * 0.5**n < 1 - confidence)


def detectable_rate(pairs: int, confidence: float, wanted: float) -> float:
    """Return the share of changed pairs, all one way, that so many pairs find with probability `wanted`; NaN: none."""
    fewest = fewest_changes(confidence)
    if pairs < fewest:
        return float("nan")
    return float(optimize.brentq(lambda rate: stats.binom.sf(fewest - 1, pairs, rate) - wanted, 0.0, 1.0))
