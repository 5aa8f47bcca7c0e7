"""Power by the noncentral t: against a table made elsewhere, by simulation, and back from the answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from ddcl.report.claims.inference import Component
from ddcl.report.claims.power import (
    detectable_effect,
    detectable_rate,
    fewest_changes,
    pairs_needed,
    power,
    seeds_needed,
    with_seeds,
)


def paired(sd: float) -> Callable[[int], Component]:
    """The spread of a mean of so many paired differences."""
    return lambda seeds: Component(sd**2 / seeds, seeds - 1)


@pytest.mark.parametrize(("sd", "gap", "seeds"), [(0.15, 0.3, 5), (0.15, 0.5, 3), (0.25, 0.3, 8), (0.25, 0.5, 5)])
def test_seeds_needed(sd: float, gap: float, seeds: int) -> None:
    """Of a paired t test; the normal approximation says 2, 1, 6, 2."""
    needed = seeds_needed(gap, paired(sd), 0.95, 0.8)
    assert needed == seeds
    assert power(gap, paired(sd)(seeds), 0.95) >= 0.8 > power(gap, paired(sd)(seeds - 1), 0.95)


def test_power_is_how_often_a_t_test_finds_the_effect() -> None:
    samples = np.random.default_rng(0).normal(0.4, 0.5, size=(20_000, 6))
    found = float((stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05).mean())
    assert power(0.4, paired(0.5)(6), 0.95) == pytest.approx(found, abs=0.01)
    assert power(0.0, paired(0.5)(6), 0.95) == pytest.approx(0.05)


@pytest.mark.parametrize("spread", [Component(0.04, 1), Component(0.04, 4), Component(0.04, np.inf)])
def test_the_detectable_effect_is_detected(spread: Component) -> None:
    effect = detectable_effect(spread, 0.95, 0.8)
    assert power(effect, spread, 0.95) == pytest.approx(0.8, abs=1e-4)


def test_with_many_degrees_of_freedom_it_is_the_normal_one() -> None:
    assert detectable_effect(Component(1.0, np.inf), 0.95, 0.8) == pytest.approx(1.959964 + 0.841621, abs=1e-3)


def test_no_number_of_seeds_helps_against_too_few_images() -> None:
    images = Component(0.3**2, 1e4)
    assert seeds_needed(0.3, with_seeds([Component(0.01, 2)], [images], 0.95), 0.95, 0.8) is None
    assert seeds_needed(0.3, with_seeds([Component(0.01, 2)], [], 0.95), 0.95, 0.8) is not None


def test_other_numbers_of_seeds_shrink_only_what_is_of_seeds() -> None:
    spread = with_seeds([Component(0.5, 3)], [Component(0.1, 1e9)], 0.95)
    assert spread(4).variance == pytest.approx(0.6)
    assert spread(8).variance == pytest.approx(0.35)


def test_rates() -> None:
    assert fewest_changes(0.95) == 6  # 2 · 0.5⁶ = 0.031
    needed = pairs_needed(0.1, 0.95, 0.8) or 0
    assert stats.binom.sf(5, needed, 0.1) >= 0.8 > stats.binom.sf(5, needed - 1, 0.1)
    assert pairs_needed(0.0, 0.95, 0.8) is None
    assert np.isnan(detectable_rate(5, 0.95, 0.8))
    assert stats.binom.sf(5, 20, detectable_rate(20, 0.95, 0.8)) == pytest.approx(0.8)
