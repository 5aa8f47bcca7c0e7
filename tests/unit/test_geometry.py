"""Readouts and geometry on features whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from ddcl.evaluate.geometry import (
    alignment,
    cosine_statistics,
    geometry,
    invariance,
    linear_cka,
    spread,
    uniformity,
)
from ddcl.evaluate.readout import FactorData, balanced_accuracy, r2, read_classes, read_numbers
from ddcl.schema.evaluations import LinearSettings

SETTINGS = LinearSettings(l2_weights=[1e-4, 1e-2, 1.0, 10.0], holdout_frac=0.2, max_iterations=200)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(d: int) -> Tensor:
    q: Tensor = torch.linalg.qr(normal(d, d, seed=9))[0]
    return q


# --- readout


def planted(n: int, seed: int) -> FactorData:
    """Columns 0 … 7 are noise, 8 … 11 a mixture of sine and cosine of an angle, with a little noise."""
    angle = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 * torch.pi
    factor = torch.stack((angle.sin(), angle.cos()), dim=1)
    mixed = factor @ normal(2, 4, seed=5) + 0.1 * normal(n, 4, seed=seed + 50)
    return FactorData(torch.cat((normal(n, 8, seed=seed + 100), mixed), dim=1).float(), factor)


def test_a_planted_factor_is_read_where_it_is() -> None:
    sets = {"full": [np.arange(12)], "dir": [np.arange(8)], "dvr": [np.arange(8, 12)]}
    sets["random_dvr"] = [np.random.default_rng(i).permutation(12)[:4] for i in range(20)]
    train, test = planted(1500, 1), planted(1000, 2)
    scores = {part: own.scores for part, own in read_numbers(train, test, sets, SETTINGS, 0).items()}
    assert scores["dvr"] > 0.9
    assert abs(scores["dir"]) < 0.05
    assert len(scores["random_dvr"]) == 20
    assert scores["random_dvr"].std() > 0.1
    shuffled = read_numbers(train.shuffled(0), test.shuffled(0), sets, SETTINGS, 0)
    assert all(np.abs(own.scores).max() < 0.05 for own in shuffled.values())


def test_a_readout_is_scikit_learns_ridge_with_the_penalty_that_is_best_on_what_is_held_out() -> None:
    train, test = planted(300, 1), planted(100, 2)
    own = np.array([0, 3, 9, 11])
    mean, std = train.features.double().mean(0), train.features.double().std(0, correction=0)
    x, test_x = (((known.features.double() - mean) / std).numpy()[:, own] for known in (train, test))
    for l2 in SETTINGS.l2_weights:
        settings = SETTINGS.model_copy(update={"l2_weights": [l2]})
        reading = read_numbers(train, test, {"some": [own]}, settings, 0)["some"]
        reference = Ridge(alpha=300 * l2).fit(x, train.factor.numpy())
        assert np.allclose(reading.predicted[0], reference.predict(test_x), atol=1e-6)
        assert reading.scores[0] == pytest.approx(reference.score(test_x, test.factor.numpy()), abs=1e-9)
    every = [
        read_numbers(train, test, {"s": [own]}, SETTINGS.model_copy(update={"l2_weights": [l2]}), 0)["s"].scores[0]
        for l2 in SETTINGS.l2_weights
    ]
    assert read_numbers(train, test, {"s": [own]}, SETTINGS, 0)["s"].scores[0] > np.median(every)


def test_classes_are_read_as_balanced_accuracy() -> None:
    def known(n: int, seed: int) -> FactorData:
        flipped = (normal(n, 1, seed=seed) > 0.8).double()  # a fifth
        telling = 4 * flipped + normal(n, 1, seed=seed + 5)
        return FactorData(torch.cat((normal(n, 3, seed=seed + 9), telling), 1).float(), flipped)

    sets = {"dir": [np.arange(3)], "dvr": [np.array([3])]}
    found = read_classes(known(600, 0), known(400, 1), sets, SETTINGS, 0)
    assert found["dvr"].scores > 0.95
    assert found["dir"].scores == pytest.approx(0.5, abs=0.06)  # the larger class alone would be 0.8
    assert balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0])) == pytest.approx(1 / 3)


def test_r2_by_hand() -> None:
    true = torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]], dtype=torch.float64)
    assert r2(true, true) == 0.5  # a column that does not vary has nothing to explain
    assert r2(true[:, :1], true.mean(dim=0, keepdim=True)[:, :1].expand(3, 1)) == 0.0
    assert r2(true[:, :1], torch.tensor([[1.0], [1.0], [4.0]])) == pytest.approx(1 - 5 / 2)


# --- geometry


def test_invariance_of_constants_is_0_of_noise_1_and_of_a_mixture_its_share() -> None:
    assert invariance(torch.ones(3, 10, 4)) == 0.0
    assert invariance(normal(1, 500, 4).repeat(3, 1, 1)) == 0.0
    assert invariance(normal(4, 5000, 8)) == pytest.approx(1.0, abs=0.02)
    mixture = normal(1, 5000, 8) + 0.5 * normal(4, 5000, 8, seed=1)  # 0.25 of 1.25
    assert invariance(mixture) == pytest.approx(0.2, abs=0.01)


def test_cosines_that_cancel_are_told_from_orthogonal_pairs() -> None:
    """The official loss is 0 for both."""
    p = normal(1000, 64)
    sign = torch.where(torch.arange(1000) % 2 == 0, 1.0, -1.0)[:, None]
    cancelling = cosine_statistics((p, p), (p * sign, p * sign))
    assert cancelling["abs_mean_cosine"] < 1e-9
    assert cancelling["mean_abs_cosine"] == pytest.approx(1.0)
    assert cancelling["sd_cosine"] == pytest.approx(1.0, abs=1e-3)
    turned = torch.cat((p[:, 32:], -p[:, :32]), dim=1)  # by 90°
    orthogonal_pairs = cosine_statistics((p, p), (turned, turned))
    assert orthogonal_pairs["abs_mean_cosine"] < 1e-9
    assert orthogonal_pairs["mean_abs_cosine"] < 1e-9
    chance = (2 / (torch.pi * 64)) ** 0.5
    assert orthogonal_pairs["mean_abs_cosine_shuffled"] == pytest.approx(chance, rel=0.1)


def test_both_directions_of_an_asymmetric_pair_count() -> None:
    """Prediction against the other view's projection: +1 in one direction, −1 in the other."""
    a, b = normal(50, 8), normal(50, 8, seed=1)
    found = cosine_statistics((a, b), (-b, a))
    assert found["abs_mean_cosine"] < 1e-9
    assert found["mean_abs_cosine"] == pytest.approx(1.0)


def test_cka_of_rotated_and_scaled_copies_is_1_and_of_independent_features_near_0() -> None:
    x = normal(2000, 6) * torch.arange(1, 7)
    assert linear_cka(x, 3 * x @ orthogonal(6) + 7) == pytest.approx(1.0)
    assert linear_cka(x, normal(2000, 4, seed=1)) < 0.01
    assert linear_cka(x, torch.ones(2000, 3)) == 0.0
    assert 0.3 < linear_cka(x, torch.cat((x[:, 5:], 6 * normal(2000, 1, seed=1)), 1)) < 0.9


def test_rank_and_spread_of_known_features() -> None:
    q = torch.linalg.qr(torch.cat((torch.ones(64, 1, dtype=torch.float64), normal(64, 8)), 1))[0][:, 1:]
    assert spread(q)["effective_rank"] == pytest.approx(8.0)  # centred, equal singular values
    assert spread(q * torch.tensor([1.0] * 2 + [0.0] * 6))["effective_rank"] == pytest.approx(2.0)
    assert spread(normal(4000, 32))["std_ratio"] == pytest.approx(1.0, abs=0.02)


def test_alignment_and_uniformity_by_hand() -> None:
    views = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[5.0, 0.0], [0.0, -1.0]], [[9.0, 9.0], [9.0, 9.0]]])
    assert alignment(views) == pytest.approx((0 + 4) / 2)
    assert uniformity(torch.tensor([[3.0, 0.0], [0.0, 1.0]])) == pytest.approx(-2 * 2)
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0.0, abs=1e-9)
    assert uniformity(normal(2000, 128)) == pytest.approx(-4.0, abs=0.1)


def test_cka_is_that_of_a_part_with_the_other_columns() -> None:
    h = normal(3000, 6)
    h = torch.cat((h, h[:, 4:] @ orthogonal(2)), 1)  # columns 6, 7 copy 4, 5
    sets = {"dir": [np.arange(6)], "dvr": [np.arange(6, 8)]}
    sets |= {"random_dir": [np.arange(4)] * 2, "random_dvr": [np.array([4, 5]), np.array([6, 7])]}
    found = geometry(h, None, [{}, {}], sets)
    assert found["dvr", "cka_dir_dvr"][0] == pytest.approx((1 / 3) ** 0.5, abs=0.05)  # two of six columns are copied
    assert found["random_dvr", "cka_dir_dvr"].max() < 0.01
    assert ("dir", "cka_dir_dvr") not in found
    assert ("dir", "invariance") not in found
