"""Tables of digits and of the real plan of cifar10, with made-up records: marks are earned, and words are readers'."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ddcl.report.collected import Collected
from ddcl.report.tables.build import build_table
from ddcl.report.tables.cells import expected_cells
from ddcl.report.tables.html import notes, to_html
from ddcl.report.tables.latex import to_latex
from ddcl.report.tables.printing import Cell, Printed, layout, to_markdown

WRONG = r"\(-\d|[−-]0(\.0+)?(?![\d.])|(?<![\d.,])[+−]?1 points|\b(?:top1_k\d+|knn_auc|random_d[iv]r)\b"


@pytest.fixture(scope="module")
def found(whole: Collected) -> Collected:
    return whole


def tables(found: Collected) -> dict[str, Printed]:
    """Every table of the suite, laid out."""
    cells = expected_cells(found.records, found.plan)
    made = {
        name: build_table(found.records, found.histories, found.plan, spec, cells, found.other_code)
        for name, spec in found.plan.tables.items()
    }
    return {name: layout(frame, found.plan.tables[name], found.plan) for name, frame in made.items()}


@pytest.fixture(scope="module")
def printed(found: Collected) -> dict[str, Printed]:
    return tables(found)


def all_cells(printed: dict[str, Printed]) -> list[Cell]:
    return [cell for table in printed.values() for _, row in table.rows for cell in row]


def test_a_mark_is_earned_by_a_difference_from_the_baseline(found: Collected, printed: dict[str, Printed]) -> None:
    marked = [cell for cell in all_cells(printed) if cell.emphasis]
    assert marked
    for cell in marked:
        assert cell.difference is not None
        low, high = cell.difference["ci_low"], cell.difference["ci_high"]
        assert low > 0 or high < 0  # none is bold beside a number that it cannot be told from
        assert cell.difference["p_holm"] < 0.05
        assert cell.difference["n_pairs"] >= 3
        better = found.plan.metrics[cell.difference["metric"]].better
        assert (cell.emphasis == "better") == ((low > 0) == (better == "higher"))


def test_two_seeds_mark_nothing(found: Collected) -> None:
    lost = found.records["seed"] >= 2
    records = found.records.assign(
        value=found.records["value"].mask(lost), status=found.records["status"].mask(lost, "missing")
    )
    assert [
        cell
        for cell in all_cells(tables(replace(found, records=records, histories=found.histories[:0])))
        if cell.emphasis
    ] == []


def test_nothing_is_underlined_or_tied_in_any_form(found: Collected, printed: dict[str, Printed]) -> None:
    for name, table in printed.items():
        spec = found.plan.tables[name]
        for text in (to_html(table) + notes(table), to_markdown(table, spec), to_latex(table, spec, name)):
            assert not re.search(r"<u>|underline|\btied?s?\b", text), name


def test_words_are_those_of_readers(printed: dict[str, Printed]) -> None:
    for name, table in printed.items():
        texts = [*table.headers, *table.notes, *(text for labels, _ in table.rows for text in labels)]
        texts += [cell.text for _, row in table.rows for cell in row]
        assert [text for text in texts if re.search(WRONG, text)] == [], name
        shown = re.sub(r"<[^>]*>", "\n", to_html(table))
        assert [line for line in shown.splitlines() if re.search(WRONG, line)] == [], name


def test_no_latex_table_ends_with_a_page_for_a_few_rows(found: Collected, printed: dict[str, Printed]) -> None:
    several = 0
    for name, table in printed.items():
        text = to_latex(table, found.plan.tables[name], name)
        rows = [
            len(re.findall(r" \\\\$", body, re.MULTILINE))
            for body in re.findall(r"\\midrule(.*?)\\bottomrule", text, re.DOTALL)
        ]
        assert sum(rows) == len(table.rows), name
        several += len(rows) > 1
        assert len(rows) < 2 or min(rows) > 0.4 * max(rows), (name, rows)
    assert several


def test_the_papers_difference_stands_beside_ours(found: Collected, printed: dict[str, Printed]) -> None:
    table = printed["robustness"]
    column = [place["perturbation"] for place in table.columns].index("color")
    rows = {(keys["variant"], keys["part"], keys["augmentation"]): i for i, keys in enumerate(table.keys)}
    beside = {key: table.rows[i][1][column].paper for key, i in rows.items()}
    # table 4 of the paper, ImageNet-100, CAug: DDCL 79.33, DIR alone 79.11, SimSiam 78.99
    assert beside["ddcl", "full", "caug"] == pytest.approx(79.33 - 78.99)
    assert beside["ddcl", "dir", "caug"] == pytest.approx(79.11 - 78.99)
    assert {beside[key] for key in beside if key[0] != "ddcl"} == {None}
    assert '<small class="paper-value">paper +0.34</small>' in to_html(table)
    assert "in the paper’s table, on ImageNet-100" in notes(table)
    assert "paper-value" not in to_html(printed["knn"])
