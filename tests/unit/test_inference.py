"""Intervals and tests with known answers, and the share of intervals that hold the truth, on simulated data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ddcl.report.claims.inference import (
    Array,
    Component,
    combined,
    holm,
    image_estimate,
    interaction,
    mcnemar,
    pooled_estimate,
    seed_estimate,
)

CONFIDENCE = 0.95


def test_the_t_interval_of_three_seeds() -> None:
    found = seed_estimate(np.array([1.0, 2.0, 3.0]), CONFIDENCE)
    own = stats.ttest_1samp([1.0, 2.0, 3.0], 0.0)
    interval = own.confidence_interval(CONFIDENCE)
    assert (found.effect, found.low, found.high) == pytest.approx((2.0, interval.low, interval.high))
    assert found.high - found.effect == pytest.approx(4.302653 / np.sqrt(3))  # t with 2 degrees of freedom
    assert found.p == pytest.approx(own.pvalue)


def test_equal_differences_give_no_interval() -> None:
    found = seed_estimate(np.array([0.5, 0.5]), CONFIDENCE)
    assert found.effect == 0.5
    assert np.isnan([found.low, found.high, found.p]).all()
    assert "no spread" in found.method


def test_degrees_of_freedom_by_hand() -> None:
    assert combined([Component(3.0, 4)], CONFIDENCE) == (3.0, 4.0)
    assert combined([Component(3.0, 4), Component(0.0, 9)], CONFIDENCE) == (3.0, 4.0)
    variance, df = combined([Component(3.0, 2), Component(1.0, np.inf)], CONFIDENCE)
    assert variance == 4.0
    assert stats.t.isf(0.025, df) == pytest.approx((3 * 4.302653 + 1.959964) / 4)  # t with 2, and the normal quantile
    for df in range(1, 70):  # nothing to find where all have the same
        assert combined([Component(0.1, df), Component(0.2, df), Component(0.7, df)], CONFIDENCE).df == pytest.approx(
            df
        )


def test_seeds_and_images_add_up_where_they_do_not_interact() -> None:
    seeds, images = np.array([-1.0, 0.0, 1.0, 2.0]), np.linspace(-5, 5, 50)
    found = pooled_estimate({("d", "e"): seeds[:, None] + images}, CONFIDENCE)
    assert found.effect == pytest.approx(0.5)
    assert found.seeds[0] == pytest.approx((seeds.var(ddof=1) / 4, 3))
    assert found.images[0] == pytest.approx((images.var(ddof=1) / 50, 49))


def test_what_seeds_and_images_share_is_counted_once() -> None:
    noise = np.random.default_rng(0).normal(size=(5, 400))
    assert interaction(noise) == pytest.approx(1 / (5 * 400), rel=0.05)
    found = pooled_estimate({("d", "e"): noise}, CONFIDENCE)
    assert found.images[0].variance < 0.3 * found.seeds[0].variance  # counted twice, the two would be alike


def test_seeds_of_two_data_sets_are_independent_and_images_of_one_are_shared() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(3, 100)), generator.normal(size=(5, 100))
    found = pooled_estimate({("a", "e"): first / 2, ("b", "e"): second / 2}, CONFIDENCE)
    assert found.effect == pytest.approx((first.mean() + second.mean()) / 2)
    assert [part.df for part in found.seeds] == [2, 4]
    assert len(found.images) == 1
    apart = pooled_estimate({("a", "e"): first / 2, ("b", "f"): second / 2}, CONFIDENCE)
    assert len(apart.images) == 2


def test_the_bootstrap_draws_images() -> None:
    differences = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], size=500, p=[0.1, 0.7, 0.2])
    found = image_estimate({"e": differences}, CONFIDENCE, 20_000, 0)
    generator = np.random.default_rng(3)
    means = [differences[generator.integers(500, size=500)].mean() for _ in range(20_000)]
    assert (found.low, found.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.003)
    assert found.effect == pytest.approx(differences.mean())
    assert image_estimate({"e": differences}, CONFIDENCE, 20_000, 0) == found
    first, second = (image_estimate({"e": differences}, CONFIDENCE, 200, seed) for seed in (1, 2))
    assert first != second


def test_mcnemar_by_hand() -> None:
    treatment = np.array([True] * 10 + [False] * 2 + [True] * 30)
    control = np.array([False] * 10 + [True] * 2 + [True] * 30)
    tail = (1 + 12 + 66) / 2**12  # of 12 changes, at most 2 for the worse
    assert mcnemar(treatment, control) == pytest.approx(2 * tail - 66 / 2**12)
    assert mcnemar(control, treatment) == mcnemar(treatment, control)
    assert mcnemar(treatment, treatment) == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02, np.nan, 0.03]) == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert holm([]) == []


# --- coverage


def correctness(generator: np.random.Generator, seeds: int, images: int, spread: tuple[float, float]) -> Array:
    """Differences of two equally good classifiers: an image is right with a chance of its difficulty, what suits this
    method (sd spread[0], in logits) and how this seed turned out (sd spread[1])."""
    difficulty = generator.normal(1.5, 2.0, images)
    suits = generator.normal(0.0, spread[0], (2, 1, images))
    luck = generator.normal(0.0, spread[1], (2, seeds, 1))
    right = generator.random((2, seeds, images)) < 1 / (1 + np.exp(-(difficulty + suits + luck)))
    return np.asarray(right[0].astype(float) - right[1].astype(float))


def coverage(seeds: int, spread: tuple[float, float], repeats: int, images: int = 400) -> float:
    """How often the interval over seeds and images holds the true difference, 0."""
    generator = np.random.default_rng([seeds, images, repeats])
    found = [
        pooled_estimate({("d", "e"): correctness(generator, seeds, images, spread)}, CONFIDENCE) for _ in range(repeats)
    ]
    return float(np.mean([not (each.low > 0 or each.high < 0) for each in found]))  # no interval excludes nothing


# Images that suit a method, and luck of a seed, in logits: seeds differ much, as much as images, and little.
SPREADS = [(0.5, 0.3), (1.0, 0.15), (1.0, 0.05)]


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_hold_the_truth_often_enough(seeds: int) -> None:
    assert 0.92 <= coverage(seeds, SPREADS[1], 700) <= 0.98  # 95 %, ± 3.6 standard errors of the simulation


@pytest.mark.slow
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_95_percent_intervals_cover_93_to_97_percent(seeds: int, spread: tuple[float, float]) -> None:
    assert 0.93 <= coverage(seeds, spread, 4000) <= 0.97


@pytest.mark.slow
def test_seed_and_image_intervals_cover_what_they_say() -> None:
    generator = np.random.default_rng(4)
    seeds = [seed_estimate(generator.normal(size=3), CONFIDENCE) for _ in range(6000)]
    images = [
        image_estimate({"e": correctness(generator, 1, 400, (1.0, 0.0))[0]}, CONFIDENCE, 2000, i) for i in range(3000)
    ]
    for found in (seeds, images):
        assert 0.93 <= np.mean([each.low <= 0 <= each.high for each in found]) <= 0.97


def test_a_plain_hierarchical_bootstrap_would_cover_too_little() -> None:
    """Why `pooled_estimate` is no bootstrap of seeds and images: three seeds do not know how much seeds differ."""
    generator, hits = np.random.default_rng(5), 0
    for _ in range(300):
        data = generator.normal(size=(3, 1)) + generator.normal(0, 0.5, size=(1, 50))
        seeds, images = generator.integers(3, size=(400, 3)), generator.integers(50, size=(400, 50))
        low, high = np.percentile(data[seeds[:, :, None], images[:, None, :]].mean(axis=(1, 2)), [2.5, 97.5])
        hits += bool(low <= 0 <= high)
    assert hits / 300 < 0.85
