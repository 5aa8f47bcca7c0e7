"""Claims of digits and of the real plan of cifar10, with made-up records: the legend means what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isnan
from pathlib import Path

import pytest

from ddcl.report.claims.claim_tables import write_claims
from ddcl.report.claims.judged import Finding, JudgedCheck, JudgedClaim, read_judged
from ddcl.report.claims.macros import macros
from ddcl.report.claims.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NO_EFFECT,
    OPPOSITE,
    SUPPORTED,
    UNDECIDED,
    Verdict,
)
from ddcl.report.collected import Collected
from ddcl.report.multiplicity import FEWEST_SEEDS
from ddcl.report.page.claim_details import Page, details
from ddcl.report.page.claim_rows import families


@pytest.fixture(scope="module")
def found(whole: Collected) -> Collected:
    return whole


@pytest.fixture
def judged(found: Collected) -> list[JudgedClaim]:
    return read_judged(found)


def checks(judged: list[JudgedClaim]) -> Iterator[JudgedCheck]:
    return (check for claim in judged for form in claim.forms for check in form.checks)


def by_interval(each: Finding) -> Verdict:
    """What the legend says of an interval alone."""
    if abs(each.ci_low) < each.smallest_effect and abs(each.ci_high) < each.smallest_effect:
        return NO_EFFECT
    if isnan(each.ci_low) or each.ci_low <= 0 <= each.ci_high:
        return INCONCLUSIVE
    return SUPPORTED if each.ci_low > 0 else CONTRADICTED


def test_every_verdict_is_the_one_that_the_legend_says(judged: list[JudgedClaim]) -> None:
    said: set[str] = set()
    for check in checks(judged):
        opposite = set(OPPOSITE.get(by_interval(check), ())) & {each.verdict for each in check.comparisons}
        for each in (check, *check.comparisons):
            if each.verdict in (*UNDECIDED, "not testable"):
                continue
            said.add(each.verdict)
            excused = each.n_seeds < FEWEST_SEEDS or (bool(opposite) if each is check else each.p_holm >= 0.05)
            told = by_interval(each)
            assert each.verdict == told or (each.verdict == INCONCLUSIVE and excused), (check.name, each.note, told)
    assert len(said) >= 3


def test_opened_claims_have_no_raw_names_no_hyphens_and_no_minus_zero(
    found: Collected, judged: list[JudgedClaim]
) -> None:
    page = Page(found.plan, {})
    shown = f"{families(judged, found.plan)} {[details(claim, page) for claim in judged]}"
    shown = re.sub(r"\b(name|id|state|method)='[^']*'", "", shown)
    wrong = r"\(-\d|[−-]0(\.0+)?(?![\d.])|(?<![\d.,])[+−]?1 points|top1_k1|knn_auc|random_d[iv]r"
    wrong += r"|(?<![-\w])(?:ddcl|simsiam|barlow_twins|linear|knn)(?:_\w+|/)"
    assert re.findall(f".{{30}}(?:{wrong})", shown) == []


def test_grids_of_robustness_have_the_papers_own_differences(found: Collected, judged: list[JudgedClaim]) -> None:
    page, shown = Page(found.plan, {}), {}
    for check in details(next(claim for claim in judged if claim.name == "C4"), page).checks:
        for form in check.forms:
            cells = [cell for grid in form.grids for _, row in grid.rows for cell in row if cell]
            shown[form.row, check.name] = [cell.paper for cell in cells if cell.paper]
    assert {"C4a", "C4b"} <= {row for row, _ in shown}
    assert "+0.37" in shown["C4a", "seen"]  # rotated images after CAug
    assert not any(papers for (row, _), papers in shown.items() if row == "C4b")  # the paper has no such runs
    assert shown["C4a", "drop"] == []  # another quantity


def test_claims_as_latex_are_as_wide_as_a_page_of_two_columns(judged: list[JudgedClaim], tmp_path: Path) -> None:
    write_claims(judged, tmp_path)
    text = (tmp_path / "claims.tex").read_text(encoding="utf-8")
    assert r"\begin{table*}" in text
    shares = [float(share) for share in re.findall(r"p\{([\d.]+)\\textwidth\}", text)]
    assert len(shares) == 5
    assert sum(shares) < 0.85  # name, seeds and the space between columns take the rest: test_latex measures it


def test_macros_have_no_impossible_number_and_an_example_that_is_one_of_them(
    found: Collected, judged: list[JudgedClaim]
) -> None:
    text = macros(found, judged)
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("%"))
    commands = dict(re.findall(r"^\\newcommand\{\\(\w+)\}\{(.*)\} % ", text, re.MULTILINE))
    (example,) = re.findall(r"\\(\w+)\{\} prints\n%+ +(.*)\n", head)
    assert commands[example[0]] == example[1]
    assert "BAug" not in head
    accuracies = [words for name, words in commands.items() if not name.startswith("Claim")]
    assert len(accuracies) > 10
    for words in accuracies:
        assert all(0 <= float(number) <= 100 for number in re.findall(r"[−$-]?\d+\.\d", words)), words
