"""Intervals and tests for paired differences over seeds, and over seeds and test images at once.

Pure functions on arrays. Differences come as D [S, N]: of seed s and test image i, the treatment's correctness minus
the control's, of the same seed and the same image; where images are not independent, i is a group of them (`by_group`).
What each interval means, and the coverage and family-wise error
that were measured: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from ddcl.report.multiplicity import FEWEST_SEEDS, SAME

Array = NDArray[np.floating]
GROUPED = "seeds and groups of images"  # in the name of an interval
LOG_P = np.linspace(-34.0, 0.0, 273)  # of shares of a chi-square distribution, down to 1e-15: cells of the integral
MANY = 1e6  # degrees of freedom: from here on t is normal
Blocks = Mapping[tuple[str, str], Array]  # by (whose seeds, whose test images)


class Component(NamedTuple):
    """A part of a mean's variance, itself estimated with `df` degrees of freedom."""

    variance: float
    df: float


@dataclass(frozen=True)
class Estimate:
    """A mean difference with its confidence interval and two-sided p, NaN where there is none; how it was made.

    seeds, images: the components of its variance.
    """

    effect: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    method: str = "none"
    seeds: tuple[Component, ...] = ()
    images: tuple[Component, ...] = ()

    @property
    def spans_zero(self) -> bool:
        """Whether 0 is inside the interval."""
        return bool(self.low <= 0 <= self.high)

    def p_equivalence(self, smallest: float) -> float:
        """Return twice the larger p of the two one-sided tests that the effect is within ±`smallest` (TOST).

        Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987. Below 5 % exactly where the 95 % interval is within ±smallest.
        """
        if np.isnan(self.p):
            return np.nan
        distance = smallest - abs(self.effect)
        p = two_sided_p(abs(distance), self.seeds, self.images)
        return p if distance > 0 else 2 - p

    def within(self, bound: float) -> Estimate:
        """Return the same with its interval cut at ±`bound`, beyond which no value lies; it covers as often."""
        if np.isnan(self.low):
            return self
        return replace(self, low=max(self.low, -bound), high=min(self.high, bound))


def pooled(components: Sequence[Component]) -> Component:
    """Return the sum of components of one kind, with the fewest of their degrees of freedom."""
    return Component(sum(part.variance for part in components), min((part.df for part in components), default=np.inf))


@cache
def _mixture(df: float) -> tuple[Array, Array]:
    """Return by what a variance of `df` degrees of freedom may have been taken too small, and how likely each is."""
    middle, width = (LOG_P[1:] + LOG_P[:-1]) / 2, LOG_P[1] - LOG_P[0]
    weights = np.exp(middle) * width
    return df / stats.chi2.ppf(np.exp(middle), df), weights / weights.sum()


def two_sided_p(distance: float, seeds: Sequence[Component], images: Sequence[Component]) -> float:
    """Return the p of a distance from 0 of a mean whose variance has components over seeds and over images.

    That of the Behrens-Fisher distribution: the sum of two independent t, each with its own scale (Fisher, Annals of
    Eugenics 6, 1935; Robinson, Annals of Statistics 4, 1976: not anticonservative). With one component, Student's.
    The t over images has the scale of both; with few images, or groups of them, p is a little larger than that sum's.
    """
    own, other = pooled(seeds), pooled(images)
    if not other.variance > 0:
        return 2 * float(_tail(distance / np.sqrt(own.variance), own.df))
    if not own.variance > 0:
        return 2 * float(_tail(distance / np.sqrt(other.variance), other.df))
    factors, weights = _mixture(own.df)
    scales = np.sqrt(own.variance * factors + other.variance)
    return 2 * float(weights @ _tail(distance / scales, other.df))


def _tail(distance: Array | float, df: float) -> Array:
    """Return the share of a t distribution beyond a distance: as `scipy.stats.t.sf`, without its checks' cost."""
    return np.asarray(special.stdtr(min(df, MANY), -np.asarray(distance)))


def half_width(seeds: Sequence[Component], images: Sequence[Component], confidence: float) -> float:
    """Return half of the interval: the distance whose p is 1 − confidence."""
    error = float(np.sqrt(pooled(seeds).variance + pooled(images).variance))

    def excess(distance: float) -> float:
        return two_sided_p(distance * error, seeds, images) - (1 - confidence)

    most = float(stats.t.isf((1 - confidence) / 2, 1))  # with one degree of freedom; no interval is wider
    return error * float(optimize.brentq(excess, 0.0, 2 * most, xtol=1e-8))


def combined(seeds: Sequence[Component], images: Sequence[Component], confidence: float) -> Component:
    """Return the whole variance, with the degrees of freedom whose t gives the same interval: what power is made of."""
    own, other = pooled(seeds), pooled(images)
    total = own.variance + other.variance
    if not (own.variance > 0 and other.variance > 0):
        return Component(total, own.df if own.variance > 0 else other.df)
    wanted = half_width(seeds, images, confidence) / float(np.sqrt(total))

    def excess(inverse_df: float) -> float:
        return float(stats.t.isf((1 - confidence) / 2, 1 / inverse_df)) - wanted

    fewest, most = own.df, min(other.df, MANY)
    for df, beyond in ((most, excess(1 / most) >= 0), (fewest, excess(1 / fewest) <= 0)):
        if beyond:
            return Component(total, df)
    return Component(total, 1 / float(optimize.brentq(excess, 1 / most, 1 / fewest)))


def t_estimate(
    effect: float, seeds: Sequence[Component], images: Sequence[Component], confidence: float, grouped: bool = False
) -> Estimate:
    """Return the interval of a mean whose variance is the sum of the components; none where that sum is 0, or where
    there are too few seeds. grouped: the images are groups of them."""
    method = f"{GROUPED if grouped else 'seeds and images'} (two-way, Behrens-Fisher)" if images else "seeds (t)"
    found = Estimate(effect, method=method, seeds=tuple(seeds), images=tuple(images))
    if not seeds or pooled(seeds).df < FEWEST_SEEDS - 1:
        return replace(found, method=f"none: fewer than {FEWEST_SEEDS} seeds")
    if not pooled([*seeds, *images]).variance > 0:
        return replace(found, method=f"{method}: no spread, so no interval")
    half = half_width(seeds, images, confidence)
    return replace(found, low=effect - half, high=effect + half, p=two_sided_p(abs(effect), seeds, images))


def seed_components(blocks: Blocks) -> list[Component]:
    """Return one component per group of seeds: the variance of a mean over its seeds.

    blocks: weighted sums of differences [S, N]; those with one name of seeds share their seeds, those with one name of
    images share their images; N = 1 where there are no images. S must be 2 or more.
    """
    found = []
    for group in dict.fromkeys(seeds for seeds, _ in blocks):
        per_seed = np.sum([block.mean(axis=1) for (seeds, _), block in blocks.items() if seeds == group], axis=0)
        variance = float(per_seed.var(ddof=1)) if np.ptp(per_seed) > SAME else 0.0
        found.append(Component(variance / len(per_seed), len(per_seed) - 1))
    return found


def image_components(blocks: Blocks) -> list[Component]:
    """Return one component per set of test images: what other images would add to the spread over seeds.

    The variance over images of the mean over seeds also holds the interaction of seed and image, which the spread over
    seeds holds already; it is subtracted, as for two-way clusters (Cameron, Gelbach and Miller 2011; Owen 2007 shows
    that resampling both ways without it counts the interaction too often).
    """
    found = []
    for images in dict.fromkeys(images for _, images in blocks):
        own = [block for (_, name), block in blocks.items() if name == images and block.shape[1] > 1]
        if own:
            means = np.sum([block.mean(axis=0) for block in own], axis=0)
            variance = float(means.var(ddof=1)) / len(means) - sum(map(interaction, own))
            found.append(Component(max(variance, 0.0), len(means) - 1))
    return found


def by_group(differences: Array, groups: NDArray[np.integer]) -> Array:
    """Return differences [S, G] of groups of images, whose mean over groups is that over images, of each seed.

    differences: [S, N]. groups: [N], the same number for images that are not independent of each other. A group has the
    value of its sum: G / N · Σ (D − mean) + mean, which is the mean of its images where all groups are of one size.
    So what the two-way variance is made of are clusters of images, whose totals are independent, however its images
    depend on each other (Liang and Zeger, Biometrika 73, 1986; Cameron, Gelbach and Miller 2011); a bootstrap or
    McNemar's test by group (Obuchowski, Statistics in Medicine 17, 1998) rests on the same totals.
    """
    _, place = np.unique(groups, return_inverse=True)
    n_groups = int(place.max()) + 1
    means = differences.mean(axis=1, keepdims=True, dtype=np.float64)
    sums = np.stack([np.bincount(place, row, n_groups) for row in differences - means])
    return np.asarray(means + sums * (n_groups / len(groups)))


def interaction(block: Array) -> float:
    """Return the variance of a block's mean that is of neither seed nor image alone: the residual of two-way ANOVA."""
    seeds, images = block.shape
    rows, columns = block.mean(axis=1, keepdims=True), block.mean(axis=0, keepdims=True)
    residual = block - rows - columns + block.mean()
    squares = float(np.square(residual, dtype=np.float64).sum())
    return squares / float((seeds - 1) * (images - 1) * seeds * images)


def seed_estimate(differences: Array, confidence: float) -> Estimate:
    """Return mean and t interval of differences [S]: "other seeds, these test images"."""
    return pooled_estimate({("", ""): differences[:, None]}, confidence)


def share_estimate(shares: Array, confidence: float) -> Estimate:
    """Return the mean of shares [S] in [0, 1], with an interval that is within [0, 1], too.

    The t interval of their arcsines of square roots, taken back (Bartlett, Biometrics 3, 1947).
    """
    angles = np.arcsin(np.sqrt(shares))
    found = replace(seed_estimate(angles, confidence), effect=float(shares.mean()))
    low, high = (float(np.sin(np.clip(end, 0, np.pi / 2)) ** 2) for end in (found.low, found.high))
    return replace(found, low=low, high=high, method=found.method.replace("(t)", "(t of arcsines)"))


def pooled_estimate(blocks: Blocks, confidence: float, grouped: bool = False) -> Estimate:
    """Return the sum of the blocks' means with its interval: "other seeds and other test images", where there are any.

    grouped: their images are groups of images, so that it is "other seeds and other groups".

    It takes the place of a hierarchical bootstrap (seeds, then images), whose intervals are too short for few seeds.
    """
    effect = float(sum(block.mean() for block in blocks.values()))
    if min(len(block) for block in blocks.values()) < 2:
        return Estimate(effect, method=f"none: fewer than {FEWEST_SEEDS} seeds")
    return t_estimate(effect, seed_components(blocks), image_components(blocks), confidence, grouped)
