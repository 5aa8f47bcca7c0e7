"""The share of runs that ended badly: runs of one seed are one witness, whatever the number of augmentations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ddcl.report.claims.endings import Counts, ended_pool, sign_flip, wilson
from ddcl.schema.claims import CheckSpec, read_claim

CHECK: CheckSpec = read_claim("C8").checks[0]
CONFIDENCE = 0.95


def counts(control: list[bool], treatment: list[bool]) -> Counts:
    """One augmentation's runs by seed."""
    return {("digits", seed): pair for seed, pair in enumerate(zip(treatment, control, strict=True))}


def test_augmentations_that_end_alike_add_nothing() -> None:
    one = counts([True, True, True, False, True, False], [False, False, True, False, False, False])
    single, thrice = (ended_pool(CHECK, [one] * n, CONFIDENCE) for n in (1, 3))
    assert thrice.effect == pytest.approx(50.0)
    assert (single.low, single.high, single.p) == pytest.approx((thrice.low, thrice.high, thrice.p))
    assert thrice.p == pytest.approx(2 * 0.5**3)  # three seeds changed; nine pairs would give 0.004


def test_one_augmentation_is_newcombes_interval() -> None:
    """Newcombe 1998, table II (a): 56 of 70 against 48 of 80 gives 0.20 (0.0524 to 0.3339)."""
    low, high = wilson(56 / 70, 70, CONFIDENCE)
    assert (low, high) == pytest.approx((0.6918, 0.8771), abs=1e-3)
    found = stats.binomtest(48, 80).proportion_ci(CONFIDENCE, method="wilson")
    assert wilson(0.6, 80, CONFIDENCE) == pytest.approx((found.low, found.high))


def test_other_data_sets_are_other_seeds() -> None:
    one = counts([True, True, True], [False, False, False])
    other = {("cifar10", seed): pair for (_, seed), pair in one.items()}
    assert ended_pool(CHECK, [one, other], CONFIDENCE).p == pytest.approx(2 * 0.5**6)
    assert np.isnan(ended_pool(CHECK, [{}], CONFIDENCE).effect)


@pytest.mark.parametrize("changes", [[1, 1, 0, -1], [1] * 6, [0, 0], [-1, -1, 1, 1, 1]])
def test_single_changes_are_a_sign_test(changes: list[int]) -> None:
    changed = [change for change in changes if change]
    expected = stats.binomtest(changed.count(1), len(changed)).pvalue if changed else 1.0
    assert sign_flip(changes) == pytest.approx(min(1.0, expected))


def test_sign_flips_by_hand() -> None:
    """3 + 1 + 1 = 5 is reached by one of eight choices of signs, and -5 by another."""
    assert sign_flip([3, 1, 1]) == pytest.approx(2 / 8)
    assert sign_flip([3, 1, -1]) == pytest.approx(6 / 8)  # sums of at least 3: 5, 3, 3 and their negatives


def test_null_claims_are_rare() -> None:
    """Seeds decide how a run ends, under all augmentations alike: one in twenty at most is called significant."""
    rng = np.random.default_rng(0)
    significant = []
    for _ in range(400):
        own, other = (rng.random((2, 8)) < 0.4).tolist()
        significant.append(ended_pool(CHECK, [counts(own, other)] * 3, CONFIDENCE).p < 0.05)
    assert np.mean(significant) <= 0.05
