"""Batched logistic regression against scikit-learn, one problem after another; rows in chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ddcl.evaluate import logistic
from ddcl.evaluate.logistic import Problems, Rows, minimise, moments, value_and_gradient

N, D, K = 400, 12, 5


def data(scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes [N, D] with columns of very different spread, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % K
    x = 0.8 * rng.normal(size=(K, D))[labels] + rng.normal(size=(N, D))
    return (x * np.exp(rng.normal(size=D)) * scale).astype(np.float32), labels


def problems() -> Problems:
    """All columns, the first eight, the last four, each with four penalties."""
    columns = torch.ones(D, 3, dtype=torch.bool)
    columns[8:, 1], columns[:8, 2] = False, False
    return Problems(columns.repeat_interleave(4, dim=1), torch.tensor([1e-4, 1e-3, 1e-2, 1e-1]).repeat(3), K)


def rows_of(x: np.ndarray) -> Rows:
    return Rows(x, np.arange(len(x)), *moments(x, "cpu"))


def test_every_problem_ends_where_scikit_learn_ends_alone() -> None:
    x, labels = data()
    own = problems()
    weights, iterations = minimise(rows_of(x), torch.from_numpy(labels), own, 500)
    standardised = (x - x.mean(0)) / x.std(0)
    for m in range(12):
        columns = own.columns[:, m].numpy()
        probe = LogisticRegression(C=1 / (float(own.l2[m]) * N), max_iter=2000, tol=1e-7)
        probe.fit(standardised[:, columns].astype(np.float64), labels)
        found = weights[:-1, :, m].numpy()
        np.testing.assert_allclose(found[columns], probe.coef_.T, atol=3e-3)
        assert not found[~columns].any()  # columns that are not the problem's stay at 0
        bias = weights[-1, :, m].numpy()  # a constant added to all biases changes nothing
        np.testing.assert_allclose(bias - bias.mean(), probe.intercept_ - probe.intercept_.mean(), atol=3e-3)
    assert iterations.min() < iterations.max() < 500


def test_the_gradient_is_that_of_the_objective() -> None:
    x, labels = data()
    generator = torch.Generator().manual_seed(0)
    own = problems()
    weights = 0.1 * torch.randn(D + 1, K, 12, generator=generator)
    weights[:-1] *= own.columns[:, None]
    value, gradient = value_and_gradient(rows_of(x), torch.from_numpy(labels), own, weights)
    free = weights.double().requires_grad_()
    standardised = torch.from_numpy((x.astype(np.float64) - x.mean(0, np.float64)) / x.std(0, dtype=np.float64))
    inputs = torch.cat([standardised, torch.ones(N, 1, dtype=torch.float64)], dim=1)
    logits = torch.einsum("nd,dkm->nkm", inputs, free)
    target = torch.from_numpy(labels)[:, None].expand(-1, 12)
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="none").mean(dim=0)
    loss = loss + 0.5 * own.l2 * free[:-1].square().sum(dim=(0, 1))
    torch.testing.assert_close(value, loss.detach(), rtol=1e-6, atol=1e-7)
    (expected,) = torch.autograd.grad(loss.sum(), free)
    expected[:-1] *= own.columns[:, None]
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kept_bytes", [0, 2**30])
def test_chunks_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch, kept_bytes: int) -> None:
    x, labels = data()
    whole, _ = minimise(rows_of(x), torch.from_numpy(labels), problems(), 500)
    monkeypatch.setattr(logistic, "CHUNK_BYTES", 1)  # chunks of 64 rows, the least
    monkeypatch.setattr(logistic, "KEPT_BYTES", kept_bytes)
    rows = rows_of(x)
    assert [len(chunk) for chunk in rows.chunks(60)] == [64] * 6 + [16]
    assert len(rows.kept) == (7 if kept_bytes else 0)
    parts, _ = minimise(rows, torch.from_numpy(labels), problems(), 500)
    torch.testing.assert_close(parts, whole, rtol=0, atol=2e-3)


def test_problems_do_not_influence_each_other() -> None:
    """One that needs many iterations beside one that needs few: each as if alone."""
    x, labels = data()
    own = problems()
    together, n_together = minimise(rows_of(x), torch.from_numpy(labels), own, 500)
    for m in (0, 3, 11):
        alone, n_alone = minimise(rows_of(x), torch.from_numpy(labels), own.only(torch.tensor([m])), 500)
        torch.testing.assert_close(alone[..., 0], together[..., m], rtol=0, atol=2e-3)
        assert abs(int(n_alone[0]) - int(n_together[m])) <= 5


def test_when_ended_problems_are_dropped_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = data()
    found = {}
    for most_live in (0.0, 0.8, 1.0):  # never before all have ended, as by default, at once
        monkeypatch.setattr(logistic, "MOST_LIVE", most_live)
        found[most_live] = minimise(rows_of(x), torch.from_numpy(labels), problems(), 500)
    assert found[0.0][1].unique().numel() > 2, "the problems end at different iterations"
    for weights, iterations in found.values():
        torch.testing.assert_close(weights, found[1.0][0], rtol=0, atol=2e-3)
        assert (iterations - found[1.0][1]).abs().max() <= 5


def test_the_limit_of_iterations_holds_and_a_start_is_used() -> None:
    x, labels = data()
    target = torch.from_numpy(labels)
    limited, n = minimise(rows_of(x), target, problems(), 3)
    assert n.max() == 3
    solved, _ = minimise(rows_of(x), target, problems(), 500)
    before, after = (value_and_gradient(rows_of(x), target, problems(), w)[0] for w in (limited, solved))
    assert (after <= before + 1e-7).all()
    again, n = minimise(rows_of(x), target, problems(), 500, solved)
    assert n.max() == 0
    assert torch.equal(again, solved)


def test_separable_classes_end_too() -> None:
    """Without overlap only the penalty bounds the weights."""
    x = np.repeat(np.eye(K, D, dtype=np.float32), 20, axis=0) + 0.01 * data()[0][: 20 * K]
    labels = torch.arange(K).repeat_interleave(20)
    weights, n = minimise(rows_of(x), labels, problems(), 2000)
    assert torch.isfinite(weights).all()
    assert n.max() < 2000


def test_moments_of_shifted_float16() -> None:
    x = (data()[0] + 300).astype(np.float16)
    mean, std = moments(x, "cpu")
    np.testing.assert_allclose(mean.numpy(), x.astype(np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), x.astype(np.float64).std(0), rtol=1e-5)
