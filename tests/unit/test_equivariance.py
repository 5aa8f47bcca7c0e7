"""Maps of features under a distortion, on features whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ddcl.evaluate.equivariance import SCORES, Moved, _scores, score
from ddcl.schema.evaluations import DiagnosticsSettings
from ddcl.schema.metrics import EQUIVARIANCE, EQUIVARIANT_TO
from ddcl.schema.recipes import read_evaluation

SETTINGS = DiagnosticsSettings.model_validate(read_evaluation("diagnostics")[1].settings)
VIEWS, CHANCE = 10, sum(1 / rank for rank in range(1, 11)) / 10  # of the mean reciprocal rank
SETS = {"dir": [np.arange(2)], "dvr": [np.arange(2, 4)], "random_dvr": [np.array([1, 3])]}


def turning(n: int, views: int, seed: int) -> Moved:
    """Columns 0 and 1: random, and the same in all views. Columns 2 and 3: a point that is turned by the angle.

    Parameters are sine and cosine of the angle, as those of a rotation.
    """
    rng = torch.Generator().manual_seed(seed)
    clean = torch.randn(n, 4, generator=rng)
    angle = (torch.rand(views, n, generator=rng) - 0.5) * math.pi
    x, y, sine, cosine = clean[:, 2], clean[:, 3], angle.sin(), angle.cos()
    turned = torch.stack((x * cosine - y * sine, x * sine + y * cosine), dim=2)
    still = clean[:, :2].expand(views, -1, -1)
    return Moved(clean, torch.cat([still, turned], dim=2), torch.stack((sine, cosine), dim=2))


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], float]:
    scores = score(turning(400, 1, 0), turning(100, VIEWS, 1), SETS, SETTINGS, 0)
    return {key: float(value[0]) for key, value in scores.items()}


def test_what_turns_as_the_angle_says_is_predicted_and_found(found: dict[tuple[str, str], float]) -> None:
    assert found["dvr", "map_error"] < 1e-6
    assert found["dvr", "mrr"] == found["dvr", "hit1"] == found["dvr", "hit5"] == 1


def test_what_does_not_move_scores_by_chance_and_not_by_the_order_of_views(found: dict[tuple[str, str], float]) -> None:
    assert found["dir", "map_error"] == 1
    assert found["dir", "mrr"] == pytest.approx(CHANCE, rel=1e-9)
    assert (found["dir", "hit1"], found["dir", "hit5"]) == pytest.approx((0.1, 0.5), rel=1e-9)


def test_half_of_what_turns_is_between(found: dict[tuple[str, str], float]) -> None:
    """One coordinate of the turned point: its end depends on the other one, which is not seen."""
    assert CHANCE + 0.03 < found["random_dvr", "mrr"] < 0.9
    assert 0.01 < found["random_dvr", "map_error"] < 1


def test_moves_that_have_nothing_to_do_with_the_parameters_score_by_chance() -> None:
    moved = [turning(n, views, seed) for n, views, seed in ((400, 1, 0), (300, VIEWS, 1))]
    strangers = [Moved(own.clean, own.views, own.params.roll(1, dims=1)) for own in moved]
    scores = score(*strangers, {"dvr": [np.arange(2, 4)]}, SETTINGS, 0)
    assert float(scores["dvr", "mrr"][0]) == pytest.approx(CHANCE, abs=0.03)
    assert float(scores["dvr", "hit5"][0]) == pytest.approx(0.5, abs=0.05)


def test_neither_scale_nor_shift_of_the_features_matters() -> None:
    train, test = turning(400, 1, 0), turning(100, VIEWS, 1)

    def scaled(own: Moved) -> Moved:
        change = torch.tensor([1.0, 100.0, 1.0, 0.01])
        return Moved(own.clean * change + 7, own.views * change + 7, own.params)

    plain, other = (score(*both, SETS, SETTINGS, 0) for both in ((train, test), (scaled(train), scaled(test))))
    for key, value in plain.items():
        assert float(other[key][0]) == pytest.approx(float(value[0]), rel=1e-3, abs=1e-4)


def test_ranks_and_ties_by_hand() -> None:
    """One image, three views at 0, 1 and 5. Predictions 0.4, 0.4 and 3: ranks 1, 2 and 1 or 2 (a tie of 1 and 5)."""

    def column(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)[:, None, None]

    found = _scores(column(0.4, 0.4, 3), column(0, 1, 5), torch.tensor([[2.0]], dtype=torch.float64))
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + (1 + 1 / 2) / 2) / 3, rel=1e-12)
    assert found["hit1"] == pytest.approx((1 + 0 + 1 / 2) / 3, rel=1e-12)
    assert found["hit5"] == 1
    assert found["map_error"] == pytest.approx((0.16 + 0.36 + 4) / (4 + 1 + 9), rel=1e-12)


def test_every_metric_is_a_score_under_a_distortion() -> None:
    assert {metric.name for metric in EQUIVARIANCE} == {f"{kind}_{name}" for kind in SCORES for name in EQUIVARIANT_TO}
