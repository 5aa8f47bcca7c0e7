"""The linear probe: what it may look at when it chooses its penalty, and what it then fits and predicts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ddcl.base.errors import UserError
from ddcl.evaluate import linear
from ddcl.evaluate.store import ColumnSets, Features, FeatureTask, Outcome
from ddcl.schema.evaluations import LinearSettings
from ddcl.schema.feature_index import Draw
from ddcl.schema.registry import TOP1

SETTINGS = LinearSettings(l2_weights=[1e-4, 1e-2, 1.0], holdout_frac=0.25, max_iterations=500)
N_CLASSES, D = 3, 4
ALL: ColumnSets = {"full": [np.arange(D)]}


def blobs(n: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """n overlapping points [n, 4] of three classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    centres = np.eye(N_CLASSES, D) * 1.5
    return (centres[labels] + rng.normal(size=(n, D))) * scale, labels


def features(n: int, seed: int, scale: float = 1.0) -> Features:
    x, labels = blobs(n, seed, scale)
    return Features(x.astype(np.float32), labels)


def probe(train: Features, tests: dict[str, Features], seed: int = 0, sets: ColumnSets = ALL) -> Outcome:
    """The outcome of the first part."""
    (outcome, *_), *_ = linear.evaluate(FeatureTask(train, tests, sets, seed), SETTINGS).values()
    return outcome


def reference(train: Features, l2_weight: float, index: np.ndarray) -> LogisticRegression:
    x = (train.features - train.features.mean(0)) / train.features.std(0)
    fitted = LogisticRegression(C=1 / (l2_weight * len(index)), max_iter=2000, tol=1e-7)
    return fitted.fit(x[index].astype(np.float64), train.labels[index])


# --- the choice of the penalty


def test_a_share_of_each_class_is_held_out() -> None:
    labels = np.repeat([4, 7, 9], [40, 20, 4])
    fitted, held = linear.hold_out(labels, 0.25, seed=0)
    assert sorted([*fitted, *held]) == list(range(64))
    assert np.unique(labels[held], return_counts=True)[1].tolist() == [10, 5, 1]
    rare = np.array([0, 0, 1, 1])
    assert np.bincount(rare[linear.hold_out(rare, 0.1, seed=0)[1]]).tolist() == [1, 1]  # one at least,
    assert np.bincount(rare[linear.hold_out(rare, 0.9, seed=0)[0]]).tolist() == [1, 1]  # and not all


def test_hold_out_depends_on_the_seed_only() -> None:
    first, again, other = (linear.hold_out(np.arange(120) % 3, 0.25, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_images_to_hold_out_is_an_error_that_says_so() -> None:
    with pytest.raises(UserError, match=r"cannot hold out 0\.25 of 4 images: class 1 has 1 image; 2 are needed"):
        linear.hold_out(np.array([0, 0, 1, 2]), 0.25, seed=0)


def test_the_best_candidate_of_each_part_is_taken_and_the_largest_of_equals() -> None:
    weights = torch.tensor([1e-4, 1.0, 1e-2])
    scores = torch.tensor([[5, 3, 9], [7, 2, 7], [4, 4, 4]])
    assert linear.choose(scores, weights).tolist() == [2, 2, 1]


@pytest.mark.parametrize("seed", range(4))
def test_the_penalty_is_that_of_a_search_written_out(seed: int) -> None:
    train = features(240, seed)
    fitted, held = linear.hold_out(train.labels, SETTINGS.holdout_frac, seed)
    x = (train.features - train.features.mean(0)) / train.features.std(0)
    scores = {
        weight: (reference(train, weight, fitted).predict(x[held]) == train.labels[held]).mean()
        for weight in SETTINGS.l2_weights
    }
    best = max(weight for weight in scores if scores[weight] == max(scores.values()))
    assert probe(train, {Draw("none", 0): features(30, 9)}, seed).chosen["l2_weight"] == best


def test_the_choice_and_the_probe_never_see_the_test_split() -> None:
    train, clean = features(60, 0), features(30, 1)
    alone = probe(train, {Draw("none", 0): clean})
    wrong = Features(clean.features, (clean.labels + 1) % N_CLASSES)
    far = Features(clean.features * 1000, clean.labels)
    other = probe(train, {Draw("none", 0): wrong, Draw("far", 0): far})
    assert other.chosen == alone.chosen
    assert np.array_equal(other.predictions[TOP1][Draw("none", 0)], alone.predictions[TOP1][Draw("none", 0)])


# --- the probe


def test_probe_is_fitted_to_standardised_training_features_with_the_chosen_penalty() -> None:
    train, test = features(60, 0), features(3000, 1)
    outcome = probe(train, {Draw("none", 0): test})
    expected = reference(train, outcome.chosen["l2_weight"], np.arange(60))
    classes = expected.predict((test.features - train.features.mean(0)) / train.features.std(0))
    predicted = outcome.predictions[TOP1][Draw("none", 0)]
    assert (predicted == classes).mean() > 0.998  # but for points on a boundary: float32 against float64
    assert predicted.dtype == np.int64
    assert (predicted == test.labels).mean() > 0.5


def test_a_part_is_probed_as_if_it_were_all_features() -> None:
    train, test = features(120, 0), features(200, 1)
    sets = {"full": [np.arange(4)], "dir": [np.array([0, 2, 3])], "dvr": [np.array([1])]}
    found = linear.evaluate(FeatureTask(train, {Draw("none", 0): test}, sets, 0), SETTINGS)
    for part, (columns,) in sets.items():
        cut = Features(train.features[:, columns], train.labels), Features(test.features[:, columns], test.labels)
        alone = probe(cut[0], {Draw("none", 0): cut[1]}, sets={part: [np.arange(len(columns))]})
        assert found[part][0].chosen["l2_weight"] == alone.chosen["l2_weight"]
        same = found[part][0].predictions[TOP1][Draw("none", 0)] == alone.predictions[TOP1][Draw("none", 0)]
        assert same.mean() > 0.99


def test_scale_and_shift_of_features_and_constant_columns_do_not_matter() -> None:
    train, test = features(60, 0), features(30, 1)

    def changed(split: Features) -> Features:
        constant = np.full((len(split.features), 1), 3.0, np.float32)
        return Features(np.concatenate([split.features * 64 + 8, constant], axis=1), split.labels)

    before = probe(train, {Draw("none", 0): test})
    after = probe(changed(train), {Draw("none", 0): changed(test)}, sets={"full": [np.arange(D + 1)]})
    assert after.chosen["l2_weight"] == before.chosen["l2_weight"]
    assert np.array_equal(after.predictions[TOP1][Draw("none", 0)], before.predictions[TOP1][Draw("none", 0)])


def test_is_deterministic() -> None:
    train, tests = features(60, 0), {Draw("none", 0): features(30, 1), Draw("color", 0): features(30, 2)}
    first, again = (probe(train, tests, seed=3) for _ in range(2))
    assert first.chosen == again.chosen
    assert all(np.array_equal(first.predictions[TOP1][name], again.predictions[TOP1][name]) for name in tests)


def test_classes_keep_their_numbers() -> None:
    """Labels need not start at 0."""
    train, test = features(60, 0), features(30, 1)
    shifted = probe(Features(train.features, train.labels + 5), {Draw("none", 0): test})
    plain = probe(train, {Draw("none", 0): test})
    assert np.array_equal(shifted.predictions[TOP1][Draw("none", 0)], plain.predictions[TOP1][Draw("none", 0)] + 5)
