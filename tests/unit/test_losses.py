"""Losses and measures of collapse on numbers that one can see by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ddcl.core.losses import (
    barlow_twins_loss,
    cross_correlation,
    effective_rank,
    full_precision,
    mean_cosine,
    standardise,
    std_ratio,
)


def f64(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_full_precision_widens_half_precision_only(given: torch.dtype, expected: torch.dtype) -> None:
    z = full_precision(torch.tensor([[1.5, -2.0]], dtype=given))
    assert z.dtype == expected
    assert z.tolist() == [[1.5, -2.0]]


def test_mean_cosine_by_hand() -> None:
    """Rows at 0°, 180°, 90° and with cosine 3·4 / (5·5) + 4·3 / (5·5) = 24/25."""
    a = f64((1, 0), (2, 0), (0, 3), (3, 4))
    b = f64((5, 0), (-1, 0), (7, 0), (4, 3))
    assert float(mean_cosine(a, b)) == pytest.approx((1 - 1 + 0 + 24 / 25) / 4, rel=1e-14)


def test_mean_cosine_is_a_mean_over_rows_not_columns() -> None:
    a, b = f64((1, 0, 0), (0, 1, 0)), f64((1, 0, 0), (0, 0, 1))
    assert float(mean_cosine(a, b)) == pytest.approx(0.5, rel=1e-14)


def test_mean_cosine_of_zero_rows_is_zero_and_finite() -> None:
    a = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    loss = mean_cosine(a, torch.ones(3, 2, dtype=torch.float64))
    loss.backward()
    assert float(loss.detach()) == 0
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_standardise_by_hand() -> None:
    """Column (0, 2): mean 1, biased variance 1. Column (10, 16): mean 13, variance 9. BatchNorm's eps is 1e-5."""
    z = standardise(f64((0, 10), (2, 16)))
    one, three = 1 / math.sqrt(1 + 1e-5), 3 / math.sqrt(9 + 1e-5)
    torch.testing.assert_close(z, f64((-one, -three), (one, three)), rtol=1e-14, atol=0)


def test_standardise_of_a_constant_column_is_zero() -> None:
    z = standardise(torch.full((4, 2), 7.0))
    torch.testing.assert_close(z, torch.zeros(4, 2), rtol=0, atol=1e-3)  # rounding of the mean, divided by √eps


def test_cross_correlation_by_hand() -> None:
    """Standardised columns a = (1, 1, -1, -1), b = (1, -1, 1, -1), c = (1, -1, -1, 1) are orthogonal.

    View 1 is (a, b), view 2 is (a, a/2 + c scaled), so that C_01 = corr(a, a + c) = 1/√2 and C_11 = corr(b, a + c) = 0.
    """
    a, b, c = f64((1, 1, -1, -1)), f64((1, -1, 1, -1)), f64((1, -1, -1, 1))
    z1, z2 = torch.cat([a, b]).T * 3 + 5, torch.cat([-a, a + c]).T * 2 - 1
    expected = f64((-1, 1 / math.sqrt(2)), (0, 0))
    torch.testing.assert_close(cross_correlation(z1, z2), expected, rtol=1e-5, atol=1e-12)


def test_cross_correlation_rows_are_view_1() -> None:
    a, b = f64((1, 1, -1, -1)), f64((1, -1, 1, -1))
    c = cross_correlation(torch.cat([a, b]).T, torch.cat([b, b]).T)
    torch.testing.assert_close(c, f64((0, 0), (1, 1)), rtol=1e-4, atol=1e-12)


def test_barlow_twins_loss_by_hand() -> None:
    """C = [[-1, 1/√2], [0, 0]]: (-1 - 1)² + (0 - 1)² + w · (1/2 + 0)."""
    a, b, c = f64((1, 1, -1, -1)), f64((1, -1, 1, -1)), f64((1, -1, -1, 1))
    z1, z2 = torch.cat([a, b]).T * 3 + 5, torch.cat([-a, a + c]).T * 2 - 1
    for weight in (0.0, 0.0051, 10.0):
        assert float(barlow_twins_loss(z1, z2, weight)) == pytest.approx(5 + weight / 2, rel=1e-5)


def test_barlow_twins_loss_of_equal_decorrelated_views_is_zero() -> None:
    a, b = f64((1, 1, -1, -1)), f64((1, -1, 1, -1))
    z = torch.cat([a, b]).T
    assert float(barlow_twins_loss(z, z, 1.0)) == pytest.approx(0, abs=1e-9)


def test_barlow_twins_loss_ignores_scale_and_shift_of_columns() -> None:
    rng = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(2, 32, 4, generator=rng, dtype=torch.float64)
    scale, shift = torch.tensor([2.0, 30, 5, 400], dtype=torch.float64), torch.tensor([1.0, -2, 3, 40])
    before, after = barlow_twins_loss(z1, z2, 0.1), barlow_twins_loss(z1 * scale + shift, z2, 0.1)
    assert float(after) == pytest.approx(float(before), rel=1e-4)


def test_std_ratio_of_a_collapsed_batch_is_zero() -> None:
    assert float(std_ratio(torch.ones(8, 4))) == pytest.approx(0, abs=1e-6)
    # the length of a row is no spread
    assert float(std_ratio(torch.arange(1.0, 9)[:, None] * torch.ones(8, 4))) == pytest.approx(0, abs=1e-6)


def test_std_ratio_of_even_directions_is_about_one() -> None:
    z = torch.randn(4096, 64, generator=torch.Generator().manual_seed(0))
    assert float(std_ratio(z)) == pytest.approx(1, abs=0.01)


def test_std_ratio_by_hand() -> None:
    """Normalised rows (1, 0), (-1, 0): columns (1, -1), std √2 with ddof 1, and (0, 0): mean √2 / 2, times √2: 1."""
    assert float(std_ratio(torch.tensor([[3.0, 0.0], [-0.1, 0.0]]))) == pytest.approx(1, rel=1e-6)


def test_effective_rank_of_a_line_is_one() -> None:
    t = torch.tensor([[-1.0], [0.0], [4.0], [2.0]])
    h = t * torch.tensor([[1.0, 2.0, -3.0]]) + torch.tensor([10.0, 0.0, 5.0])  # the constant adds no rank
    assert float(effective_rank(h)) == pytest.approx(1, abs=1e-6)


def test_effective_rank_of_equal_singular_values_is_their_number() -> None:
    """±e_i for every i: already centred, d equal singular values."""
    for d in (2, 5):
        h = torch.cat([torch.eye(d), -torch.eye(d)])
        assert float(effective_rank(h)) == pytest.approx(d, rel=1e-9)


def test_effective_rank_by_hand() -> None:
    """Singular values 3√2 and √2: shares 3/4 and 1/4, exp(entropy) = (4/3)^(3/4) · 4^(1/4)."""
    h = f64((3, 0), (-3, 0), (0, 1), (0, -1))
    assert float(effective_rank(h)) == pytest.approx((4 / 3) ** 0.75 * 4**0.25, rel=1e-12)


def test_effective_rank_of_constant_features_is_at_least_one_and_finite() -> None:
    assert float(effective_rank(torch.full((6, 3), 2.5))) == pytest.approx(1, abs=1e-9)
