"""Weighted kNN on four points by hand, and against a loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor

from ddcl.evaluate import knn, largest, neighbours
from ddcl.evaluate.neighbours import knn_predict
from ddcl.evaluate.store import Features, FeatureTask
from ddcl.schema.evaluations import KnnSettings
from ddcl.schema.feature_index import Draw

# cosines to the query (1, 0): 1, 0.8, 0, -1; lengths do not matter
POINTS = torch.tensor([[2.0, 0.0], [0.8, 0.6], [0.0, 5.0], [-0.1, 0.0]])
QUERY = torch.tensor([[10.0, 0.0]])
Finder: TypeAlias = Callable[[Tensor, int], tuple[Tensor, Tensor]]
FINDERS: list[Finder] = [largest.largest, neighbours.partitioned]


def predict(labels: list[int], k: int, temperature: float, points: Tensor = POINTS, query: Tensor = QUERY) -> int:
    (predicted,) = knn_predict((points, torch.tensor(labels)), query, [k], temperature)
    return int(predicted[0])


def test_one_neighbour_is_the_nearest_by_cosine() -> None:
    assert predict([3, 1, 1, 1], k=1, temperature=1.0) == 3


def test_weights_are_exp_of_cosine_over_temperature() -> None:
    """Classes 0, 1, 1: e^(1/T) against e^(0.8/T) + e^0. Equal where 1 = e^(-0.2/T) + e^(-1/T), at T = 0.4257…"""

    def lead_of_class_1(temperature: float) -> float:
        return math.exp(-0.2 / temperature) + math.exp(-1 / temperature) - 1

    low, high = 0.1, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if lead_of_class_1(middle) < 0 else (low, middle)
    assert predict([0, 1, 1, 1], k=3, temperature=0.99 * low) == 0
    assert predict([0, 1, 1, 1], k=3, temperature=1.01 * low) == 1


def test_only_k_neighbours_vote() -> None:
    """At T = 10 all weights are about 1: two against two of three, then the majority of four."""
    assert predict([1, 1, 0, 0], k=2, temperature=10.0) == 1
    assert predict([1, 0, 0, 1], k=3, temperature=10.0) == 0
    assert predict([1, 2, 2, 2], k=4, temperature=10.0) == 2


def test_tied_votes_go_to_the_lower_class() -> None:
    points = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert predict([2, 1], k=2, temperature=0.1, points=points) == 1
    assert predict([1, 2], k=2, temperature=0.1, points=points) == 1


def test_k_beyond_the_bank_is_the_whole_bank() -> None:
    for labels in ([0, 1, 1, 1], [2, 0, 1, 0]):
        assert predict(labels, k=1000, temperature=0.7) == predict(labels, k=4, temperature=0.7)


def test_small_temperatures_do_not_overflow() -> None:
    """exp(1 / 0.001) and exp(0.8 / 0.001) are infinite in float32: a tie, which would go to class 0."""
    assert predict([1, 0, 0, 0], k=3, temperature=0.001) == 1


def test_opposite_points_vote_too_but_little() -> None:
    """Weights e^(-1) for the only point of class 1, at k = 4: it never wins against e^1."""
    assert predict([0, 0, 0, 1], k=4, temperature=1.0) == 0


def loop(bank: np.ndarray, labels: np.ndarray, queries: np.ndarray, k: int, temperature: float) -> list[int]:
    """The same in float64, one image at a time."""
    result = []
    for query in queries:
        cosines = [float(p @ query / np.sqrt((p @ p) * (query @ query))) for p in bank]
        votes = [0.0] * (int(labels.max()) + 1)
        for index in sorted(range(len(bank)), key=lambda i: -cosines[i])[:k]:
            votes[labels[index]] += math.exp(cosines[index] / temperature)
        result.append(votes.index(max(votes)))
    return result


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (5, 0.1), (20, 0.07), (20, 2.0), (500, 0.5)])
def test_agrees_with_a_loop(k: int, temperature: float) -> None:
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(60, 6)), rng.normal(size=(40, 6))
    labels = rng.integers(0, 4, size=60)
    (found,) = knn_predict(
        (torch.from_numpy(bank), torch.from_numpy(labels)), torch.from_numpy(queries), [k], temperature
    )
    expected = loop(bank, labels, queries, k, temperature)
    assert found.tolist() == expected
    assert len(set(expected)) >= 3


def test_all_numbers_of_neighbours_at_once_are_each_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    bank, labels = torch.randn(300, 8, generator=rng), torch.randint(5, (300,), generator=rng)
    queries, ks = torch.randn(100, 8, generator=rng), [20, 1, 200, 1000]
    together = knn_predict((bank, labels), queries, ks, 0.1)
    for k, found in zip(ks, together, strict=True):
        assert torch.equal(found, knn_predict((bank, labels), queries, [k], 0.1)[0])
    assert not torch.equal(together[0], together[2])


@pytest.mark.parametrize(("block_bytes", "bank_bytes"), [(1, 2**29), (2000, 2**29), (2**26, 1), (1500, 700)])
def test_blocks_do_not_change_the_result(block_bytes: int, bank_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    bank, queries = (torch.randn(n, 8, generator=rng).half() for n in (50, 40))
    cosine, row = neighbours.nearest(bank, queries, 10)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(neighbours, "BANK_BYTES", bank_bytes)
    in_blocks, row_in_blocks = neighbours.nearest(bank, queries, 10)
    torch.testing.assert_close(in_blocks, cosine)
    assert torch.equal(row_in_blocks, row)


def test_columns_that_do_not_count_are_as_if_they_were_not_there() -> None:
    rng = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(50, 8, generator=rng), torch.randn(40, 8, generator=rng)
    columns = torch.tensor([1, 4, 5])
    cut = neighbours.nearest(bank[:, columns], queries[:, columns], 5)
    assert torch.equal(neighbours.nearest(bank, queries, 5, columns)[1], cut[1])


def test_only_what_is_asked_for_is_predicted_and_random_columns_on_the_first_draw() -> None:
    train = Features(POINTS.numpy().astype(np.float16), np.array([0, 1, 2, 3]))
    draws = [Draw("none", 0), Draw("color", 0), Draw("color", 1), Draw("member", 0)]
    sets = {"full": [np.arange(2)], "random_dvr": [np.array([0])]}
    asked = frozenset(product(["full"], ["none", "color", "member"])) | {
        ("random_dvr", "none"),
        ("random_dvr", "color"),
    }
    task = FeatureTask(train, dict.fromkeys(draws, train), sets, seed=0, asked=asked)
    found = knn.evaluate(task, KnnSettings(k=1, also_k=[], temperature=0.1))
    assert list(found["full"][0].predictions["top1"]) == draws
    assert list(found["random_dvr"][0].predictions["top1"]) == draws[:2]


def test_evaluate_predicts_every_perturbation_from_the_training_features() -> None:
    train = Features(POINTS.numpy().astype(np.float16), np.array([0, 1, 2, 3]))
    tests = {
        Draw("none", 0): Features(np.array([[1.0, 0.1], [-1.0, 0.1]], np.float16), np.array([9, 9])),
        Draw("color", 0): Features(np.array([[0.1, 1.0]], np.float16), np.array([9])),
    }
    sets = {"full": [np.arange(2)], "random_dvr": [np.array([0]), np.array([1])]}
    settings = KnnSettings(k=1, also_k=[4], temperature=0.1)
    found = knn.evaluate(FeatureTask(train, tests, sets, seed=0), settings)
    (outcome,) = found["full"]
    assert {name: values.tolist() for name, values in outcome.predictions["top1"].items()} == {
        Draw("none", 0): [0, 3],
        Draw("color", 0): [2],
    }
    assert set(outcome.predictions) == {"top1", "top1_k4"}
    assert outcome.predictions["top1"][Draw("none", 0)].dtype == np.int64
    assert outcome.chosen == {}
    assert [len(own) for own in found.values()] == [1, 2]
    assert found["random_dvr"][0].predictions["top1"][Draw("none", 0)].tolist()[1] == 3  # by the first column only
    assert found["random_dvr"][1].predictions["top1"][Draw("none", 0)].tolist() != [0, 3]


@pytest.mark.parametrize("finder", FINDERS)
@pytest.mark.parametrize("k", [1, 7, 200])
@pytest.mark.parametrize("n", [128 * 200, 128 * 200 + 77])
def test_largest_is_topk(finder: Finder, k: int, n: int) -> None:
    x = torch.randn(30, n, generator=torch.Generator().manual_seed(k))
    for found, expected in zip(finder(x, k), x.topk(k, dim=1), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("finder", FINDERS)
@pytest.mark.parametrize("digits", [0, 1, 2, 3])
def test_largest_takes_of_equal_values_those_that_topk_takes(finder: Finder, digits: int) -> None:
    """Of rounded values, most are equal to others: among the k largest, or just outside."""
    x = torch.randn(40, 5000, generator=torch.Generator().manual_seed(digits)).round(decimals=digits)
    for k in (1, 5, 30):
        for found, expected in zip(finder(x, k), x.topk(k, dim=1), strict=True):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("finder", FINDERS)
def test_largest_is_topk_where_rows_are_odd(finder: Finder) -> None:
    x = torch.randn(6, 3000, generator=torch.Generator().manual_seed(0))
    x[0, :100], x[1, 5], x[2], x[3, 7] = torch.nan, torch.nan, torch.nan, torch.inf
    x[4, 20:], x[5] = -torch.inf, torch.arange(3000.0)
    for found, expected in zip(finder(x, 20), x.topk(20, dim=1), strict=True):
        assert torch.equal(found.nan_to_num(nan=9e9), expected.nan_to_num(nan=9e9))


def test_large_banks_are_searched_by_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """And find what `topk` does, equal cosines of doubled features included."""
    rng = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(2000, 8, generator=rng).half().repeat(2, 1), torch.randn(50, 8, generator=rng)
    asked = []
    monkeypatch.setattr(largest, "largest", lambda x, k: asked.append(k) or x.topk(k, dim=1))
    expected = neighbours.nearest(bank, queries, 30)
    monkeypatch.undo()
    assert asked == [30]
    assert all(torch.equal(*pair) for pair in zip(neighbours.nearest(bank, queries, 30), expected, strict=True))
    asked.clear()
    neighbours.nearest(bank, queries, 32)
    assert asked == []
