"""The linear probe against a minimisation written out here; what it may look at when it chooses its penalty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.optimize import minimize

from ddcl.core.errors import UserError
from ddcl.evaluate import linear
from ddcl.evaluate.store import Features
from ddcl.registry import LinearSettings

SETTINGS = LinearSettings(l2_weights=[1e-4, 1e-2, 1.0], holdout_frac=0.25, max_iterations=500)
N_CLASSES, D = 3, 4


def blobs(n: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """n overlapping points [n, 4] of three classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    centres = np.eye(N_CLASSES, D) * 1.5
    return (centres[labels] + rng.normal(size=(n, D))) * scale, labels


def objective(parameters: np.ndarray, x: np.ndarray, labels: np.ndarray, l2_weight: float) -> float:
    """Mean cross-entropy + l2_weight / 2 · ‖W‖², image by image."""
    weight, bias = parameters[: N_CLASSES * D].reshape(N_CLASSES, D), parameters[N_CLASSES * D :]
    total = 0.0
    for row, label in zip(x, labels, strict=True):
        logits = weight @ row + bias
        total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label]
    return total / len(x) + l2_weight / 2 * float((weight**2).sum())


@pytest.mark.parametrize("l2_weight", [0.01, 0.3])
def test_fit_minimises_the_written_out_objective(l2_weight: float) -> None:
    x, labels = blobs(45, seed=0)
    start = np.zeros(N_CLASSES * (D + 1))
    best = minimize(objective, start, args=(x, labels, l2_weight), method="BFGS", options={"gtol": 1e-7})
    probe = linear.fit(x, labels, l2_weight, 500)
    found = np.concatenate([probe.coef_.ravel(), probe.intercept_])
    assert objective(found, x, labels, l2_weight) == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(probe.coef_, best.x[: N_CLASSES * D].reshape(N_CLASSES, D), atol=2e-3)
    bias = best.x[N_CLASSES * D :]  # a constant added to all biases changes nothing
    np.testing.assert_allclose(probe.intercept_ - probe.intercept_.mean(), bias - bias.mean(), atol=2e-3)


class Fitted:
    """A stand-in for a probe: right on a share of the images that its penalty decides.

    The weakest penalty fits the images that it was fitted to best, and the others worst.
    """

    right_frac: ClassVar = {1e-4: 0.5, 1e-2: 0.9, 1.0: 0.7}
    right_frac_of_fitted: ClassVar = {1e-4: 1.0, 1e-2: 0.95, 1.0: 0.75}

    def __init__(self, l2_weight: float, fitted: np.ndarray) -> None:
        self.l2_weight, self.fitted = l2_weight, set(fitted[:, 0])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The last column holds the label; the rest of the images get a class that does not exist."""
        labels = np.rint(x[:, -1]).astype(np.int64)
        right_frac = self.right_frac_of_fitted if set(x[:, 0]) <= self.fitted else self.right_frac
        labels[round(right_frac[self.l2_weight] * len(x)) :] = -1
        return labels


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[float, np.ndarray]]]:
    """Replaces `fit` by `Fitted`; collects (penalty, features) of every call."""
    calls: list[tuple[float, np.ndarray]] = []

    def fake(features: np.ndarray, labels: np.ndarray, l2_weight: float, max_iterations: int) -> Any:
        calls.append((l2_weight, features))
        return Fitted(l2_weight, features)

    monkeypatch.setattr(linear, "fit", fake)
    return calls


def numbered(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (index, label)."""
    labels = np.arange(n) % N_CLASSES
    return np.stack([np.arange(n), labels], axis=1).astype(np.float64), labels


def test_choose_l2_takes_the_best_on_the_hold_out(fits: list[tuple[float, np.ndarray]]) -> None:
    x, labels = numbered(120)
    assert linear.choose_l2(x, labels, SETTINGS, seed=0) == 1e-2
    assert {weight for weight, _ in fits} == set(SETTINGS.l2_weights)
    used = {tuple(sorted(features[:, 0])) for _, features in fits}
    assert len(used) == 1  # all candidates are fitted to the same images
    assert len(used.pop()) == 90  # and a quarter is held out
    assert all(np.bincount(features[:, 1].astype(int)).tolist() == [30, 30, 30] for _, features in fits)  # stratified


def test_choose_l2_prefers_the_largest_of_equals(
    fits: list[tuple[float, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fitted, "right_frac", {1e-4: 0.8, 1e-2: 0.8, 1.0: 0.8})
    assert linear.choose_l2(*numbered(120), SETTINGS, seed=0) == 1.0


def test_hold_out_depends_on_the_seed_only(fits: list[tuple[float, np.ndarray]]) -> None:
    for seed in (0, 0, 1):
        linear.choose_l2(*numbered(120), SETTINGS, seed)
    images = [set(features[:, 0]) for _, features in fits][:: len(SETTINGS.l2_weights)]
    assert images[0] == images[1] != images[2]


def test_too_few_images_to_hold_out_is_an_error_that_says_so() -> None:
    x, labels = numbered(4)
    with pytest.raises(UserError, match=r"cannot hold out 0\.25 of 4 images"):
        linear.choose_l2(x, labels, SETTINGS, seed=0)


def features(n: int, seed: int, scale: float = 1.0) -> Features:
    x, labels = blobs(n, seed, scale)
    return Features(x.astype(np.float32), labels)


def test_the_choice_and_the_probe_never_see_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    train, clean = features(60, 0), features(30, 1)
    seen: list[int] = []
    original = linear.fit

    def spy(x: np.ndarray, *rest: Any) -> Any:
        seen.append(len(x))
        return original(x, *rest)

    monkeypatch.setattr(linear, "fit", spy)
    alone = linear.evaluate(train, {"none": clean}, SETTINGS, seed=0)
    assert seen == [45, 45, 45, 60]  # three candidates on three quarters, then the probe on all
    wrong = Features(clean.features, (clean.labels + 1) % N_CLASSES)
    far = Features(clean.features * 1000, clean.labels)
    other = linear.evaluate(train, {"none": wrong, "far": far}, SETTINGS, seed=0)
    assert other.chosen == alone.chosen
    assert np.array_equal(other.predictions["none"], alone.predictions["none"])


def test_probe_is_fitted_to_standardised_training_features_with_the_chosen_penalty() -> None:
    train, test = features(60, 0), features(30, 1)
    outcome = linear.evaluate(train, {"none": test}, SETTINGS, seed=0)
    x = train.features.astype(np.float64)
    mean, std = x.mean(0), x.std(0)
    probe = linear.fit((x - mean) / std, train.labels, outcome.chosen["l2_weight"], 500)
    expected = probe.predict((test.features.astype(np.float64) - mean) / std)
    assert np.array_equal(outcome.predictions["none"], expected)
    assert outcome.chosen["l2_weight"] in SETTINGS.l2_weights
    assert outcome.predictions["none"].dtype == np.int64
    assert (outcome.predictions["none"] == test.labels).mean() > 0.5


def test_scale_and_shift_of_features_and_constant_columns_do_not_matter() -> None:
    train, test = features(60, 0), features(30, 1)

    def changed(split: Features) -> Features:
        constant = np.full((len(split.features), 1), 3.0, np.float32)
        return Features(np.concatenate([split.features * 64 + 8, constant], axis=1), split.labels)

    before = linear.evaluate(train, {"none": test}, SETTINGS, seed=0)
    after = linear.evaluate(changed(train), {"none": changed(test)}, SETTINGS, seed=0)
    assert after.chosen == before.chosen
    assert np.array_equal(after.predictions["none"], before.predictions["none"])


def test_is_deterministic() -> None:
    train, tests = features(60, 0), {"none": features(30, 1), "color": features(30, 2)}
    first, again = (linear.evaluate(train, tests, SETTINGS, seed=3) for _ in range(2))
    assert first.chosen == again.chosen
    assert all(np.array_equal(first.predictions[name], again.predictions[name]) for name in tests)


def test_classes_keep_their_numbers() -> None:
    """Labels need not start at 0."""
    train, test = features(60, 0), features(30, 1)
    shifted = linear.evaluate(Features(train.features, train.labels + 5), {"none": test}, SETTINGS, seed=0)
    plain = linear.evaluate(train, {"none": test}, SETTINGS, seed=0)
    assert np.array_equal(shifted.predictions["none"], plain.predictions["none"] + 5)
