"""The rule from an effect to a verdict, and the table of how verdicts combine, as docs/statistics.md has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddcl.report.claims.verdicts import Found, adjusted_p, decide, of_check, of_claim

STATISTICS = Path(__file__).resolve().parents[2] / "docs/statistics.md"
WORDS = {"+": "supported", "-": "contradicted", "0": "no effect that matters", "?": "inconclusive"}
WORDS |= {"x": "not testable", "n": "not run", "d": "protocol differs"}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Found(1.0, 0.01, 0.9, 2), "inconclusive"),  # fewer than three seeds
        (Found(0.0, 0.9, 0.01, 2), "inconclusive"),
        (Found(0.1, 0.9, 0.04, 3), "no effect that matters"),
        (Found(0.1, 0.01, 0.04, 3), "no effect that matters"),  # sure, but too small
        (Found(1.0, 0.049, 0.9, 3), "supported"),
        (Found(-1.0, 0.049, 0.9, 3), "contradicted"),
        (Found(1.0, 0.051, 0.9, 3), "inconclusive"),
        (Found(1.0, 0.01, 0.9, 3, spans_zero=True), "inconclusive"),  # shares of runs: the interval says less than p
        (Found(1.0, np.nan, np.nan, 3), "inconclusive"),  # no spread, no interval
        (Found(0.0, 0.01, 0.9, 3), "inconclusive"),
    ],
)
def test_the_rule_in_its_order(found: Found, verdict: str) -> None:
    assert decide(found, 0.05) == verdict


@pytest.mark.parametrize(
    ("own", "comparisons", "verdict"),
    [
        ("+", "+?0", "+"),
        ("+", "+-", "?"),
        ("-", "-?0", "-"),
        ("-", "-+", "?"),
        ("0", "0?", "0"),
        ("0", "0+", "?"),
        ("0", "-", "?"),
    ],
)
def test_a_comparison_that_says_the_opposite_opens_its_check(own: str, comparisons: str, verdict: str) -> None:
    assert of_check(WORDS[own], [WORDS[each] for each in comparisons]) == WORDS[verdict]  # type: ignore[arg-type]


# Deciding checks with their p, and the verdict of the claim under `all` and under `any`.
COMBINED = [
    ("n n", "n", "n"),
    ("n d", "d", "d"),
    ("x x", "x", "x"),
    ("x n", "x", "x"),
    ("x +.01", "x", "+"),
    ("x -.01", "x", "?"),
    ("+.01 +.04", "+", "+"),
    ("-.01 -.04", "-", "-"),
    ("0 0", "0", "0"),
    ("+.01 n", "?", "+"),
    ("-.01 n", "-", "?"),
    ("0 n", "?", "?"),
    ("+.01 ?", "?", "+"),
    ("-.01 ?", "-", "?"),
    ("+.01 0", "?", "+"),
    ("-.01 0", "-", "?"),
    ("-.01 +.01", "-", "+"),
    ("+.03 ?", "?", "?"),  # 0.06 after Holm's correction over the checks
    ("-.03 ?", "?", "?"),
    ("? ?", "?", "?"),
]


def checks_of(text: str) -> list[tuple[str, float]]:
    return [(WORDS[each[0]], float(each[1:] or 0.5)) for each in text.split()]


@pytest.mark.parametrize(("checks", "conjunction", "alternative"), COMBINED)
def test_how_verdicts_combine(checks: str, conjunction: str, alternative: str) -> None:
    assert of_claim(checks_of(checks), "all", 0.05) == WORDS[conjunction]
    assert of_claim(checks_of(checks), "any", 0.05) == WORDS[alternative]
    assert of_claim(checks_of(checks)[::-1], "all", 0.05) == WORDS[conjunction]
    assert of_claim(checks_of(checks)[::-1], "any", 0.05) == WORDS[alternative]


@pytest.mark.parametrize(("checks", "conjunction", "alternative"), COMBINED)
def test_all_and_any_are_each_others_mirror(checks: str, conjunction: str, alternative: str) -> None:
    if "x" not in checks:  # what cannot be tested is no sign that could be turned
        turned = checks.translate(str.maketrans("+-", "-+"))
        assert of_claim(checks_of(turned), "any", 0.05) == WORDS[conjunction.translate(str.maketrans("+-", "-+"))]


def test_holm_counts_what_was_tested() -> None:
    found = adjusted_p([("supported", 0.02), ("not run", 0.01), ("inconclusive", 0.4), ("not testable", 0.001)])
    assert found == pytest.approx([0.04, np.nan, 0.4, np.nan], nan_ok=True)


def test_the_page_has_the_same_table() -> None:
    page = STATISTICS.read_text(encoding="utf-8")
    for checks, conjunction, alternative in COMBINED:
        row = f"| `{checks}` | {WORDS[conjunction]} | {WORDS[alternative]} |"
        assert row in page, row
