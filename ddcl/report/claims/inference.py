"""Intervals and tests for paired differences: over seeds, over test images, and over both at once.

Pure functions on arrays. Differences come as D [S, N]: of seed s and test image i, the treatment's correctness minus
the control's, of the same seed and the same image. What each interval means, and the coverage that was measured:
docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Array = NDArray[np.floating]
MANY = 1e9  # degrees of freedom: from here on t is normal
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


def combined(components: Sequence[Component], confidence: float) -> Component:
    """Return the sum of independent components, with the degrees of freedom that its t interval is to be made with.

    Those whose quantile of t is the mean of the components' quantiles, weighted with the variances (Cochran and Cox,
    Experimental Designs, 1957, 4.14; Cochran, Biometrics 20, 1964). Satterthwaite's are too many with 2 or 3 seeds.
    """
    tail, total = (1 - confidence) / 2, sum(part.variance for part in components)
    spread = [part for part in components if part.variance > 0]
    if len(spread) < 2:
        return Component(total, spread[0].df if spread else np.inf)
    quantile = sum(part.variance * float(stats.t.isf(tail, part.df)) for part in spread) / total

    def excess(inverse_df: float) -> float:
        return float(stats.t.isf(tail, 1 / inverse_df)) - quantile

    fewest, most = min(part.df for part in spread), min(max(part.df for part in spread), MANY)
    for df, beyond in ((most, excess(1 / most) >= 0), (fewest, excess(1 / fewest) <= 0)):
        if beyond:  # all components have the same degrees of freedom
            return Component(total, df)
    return Component(total, 1 / float(optimize.brentq(excess, 1 / most, 1 / fewest)))


def t_estimate(effect: float, seeds: Sequence[Component], images: Sequence[Component], confidence: float) -> Estimate:
    """Return the t interval of a mean whose variance is the sum of the components; none where that sum is 0."""
    method = "seeds and images (two-way, Cochran)" if images else "seeds (t)"
    parts = tuple(seeds), tuple(images)
    variance, df = combined([*seeds, *images], confidence)
    if not variance > 0:
        return Estimate(effect, np.nan, np.nan, np.nan, f"{method}: no spread, so no interval", *parts)
    se = float(np.sqrt(variance))
    half = float(stats.t.isf((1 - confidence) / 2, df)) * se
    p = 2 * float(stats.t.sf(abs(effect) / se, df))
    return Estimate(effect, effect - half, effect + half, p, method, *parts)


def seed_components(blocks: Blocks) -> list[Component]:
    """Return one component per group of seeds: the variance of a mean over its seeds.

    blocks: weighted sums of differences [S, N]; those with one name of seeds share their seeds, those with one name of
    images share their images; N = 1 where there are no images. S must be 2 or more.
    """
    found = []
    for group in dict.fromkeys(seeds for seeds, _ in blocks):
        per_seed = np.sum([block.mean(axis=1) for (seeds, _), block in blocks.items() if seeds == group], axis=0)
        found.append(Component(float(per_seed.var(ddof=1)) / len(per_seed), len(per_seed) - 1))
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


def interaction(block: Array) -> float:
    """Return the variance of a block's mean that is of neither seed nor image alone: the residual of two-way ANOVA."""
    seeds, images = block.shape
    rows, columns = block.mean(axis=1, keepdims=True), block.mean(axis=0, keepdims=True)
    residual = block - rows - columns + block.mean()
    squares = float(np.square(residual, dtype=np.float64).sum())
    return squares / float((seeds - 1) * (images - 1) * seeds * images)


def seed_estimate(differences: Array, confidence: float) -> Estimate:
    """Return mean and t interval of differences [S]: "other seeds, these test images"."""
    blocks = {("", ""): differences[:, None]}
    return t_estimate(float(differences.mean()), seed_components(blocks), [], confidence)


def pooled_estimate(blocks: Blocks, confidence: float) -> Estimate:
    """Return the sum of the blocks' means with its interval: "other seeds and other test images", where there are any.

    It takes the place of a hierarchical bootstrap (seeds, then images), whose intervals are too short for few seeds.
    """
    effect = float(sum(block.mean() for block in blocks.values()))
    return t_estimate(effect, seed_components(blocks), image_components(blocks), confidence)


def image_estimate(means: Mapping[str, Array], confidence: float, draws: int, seed: int) -> Estimate:
    """Return the sum of means over images with its percentile bootstrap interval: "this seed, other test images".

    means: by set of images, differences [N]. To draw N images with replacement is to draw how often each value occurs,
    so values are drawn and not images: the same distribution, at the cost of the number of values.
    p is of the normal approximation.
    """
    generator = np.random.default_rng(seed)
    resampled, variance = np.zeros(draws), 0.0
    for each in means.values():
        values, counts = np.unique(np.round(each, 6), return_counts=True)
        resampled += generator.multinomial(len(each), counts / len(each), size=draws) @ values / len(each)
        variance += float(each.var(ddof=1)) / len(each)
    effect, tail = float(sum(each.mean() for each in means.values())), 50 * (1 - confidence)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    p = 2 * float(stats.norm.sf(abs(effect) / np.sqrt(variance))) if variance > 0 else np.nan
    parts = (Component(variance, np.inf),)
    return Estimate(effect, float(low), float(high), p, "images (bootstrap)", images=parts)


def mcnemar(treatment: NDArray[np.bool_], control: NDArray[np.bool_]) -> float:
    """Return the two-sided mid-p of McNemar's exact test of two classifiers on the same images (Fagerland et al. 2013).

    treatment, control: whether each image was classified correctly. 1 where they never differ.
    """
    better, worse = int((treatment & ~control).sum()), int((control & ~treatment).sum())
    n, few = better + worse, min(better, worse)
    if better == worse:
        return 1.0
    return 2 * float(stats.binom.cdf(few, n, 0.5)) - float(stats.binom.pmf(few, n, 0.5))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p, in the same order (Scand. J. Statist. 6, 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=float)
    order = [index for index in np.argsort(p, kind="stable") if not np.isnan(p[index])]
    adjusted = np.full(len(p), np.nan)
    steps = [(len(order) - place) * p[index] for place, index in enumerate(order)]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if order else []
    return [float(each) for each in adjusted]
