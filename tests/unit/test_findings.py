"""Every number of docs/findings.md is that of the cells which the comment behind it names."""

from __future__ import annotations

import pytest

from tests.unit import snapshots
from tests.unit.findings import NUMBER, PAGE, Passage, passages, tables, wrong, wrong_cells
from tests.unit.snapshots import SNAPSHOTS

PAIRS = "ddcl baug dvr mean_abs_cosine; ddcl baug dvr mean_abs_cosine_shuffled"  # .0395 and .0391
COUNT = "ddcl_sym caug dvr mean_abs_cosine > 0.9"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("passage", passages(TEXT), ids=lambda own: " ".join(own.text.split())[:60])
def test_each_number_is_that_of_its_cell(passage: Passage) -> None:
    assert not wrong(passage)


def test_each_table_is_that_of_its_cells_or_is_written_by_code() -> None:
    code = {*snapshots.answer(), *(row for name in SNAPSHOTS for row in _written(name))}
    for rows, source in tables(TEXT):
        wrong_ones = (
            wrong_cells(rows, source) if source else [row for row in rows if row not in code and NUMBER.search(row)]
        )
        assert not wrong_ones


def _written(name: str) -> list[str]:
    return [*snapshots.table(name), *snapshots.precision(name)]


@pytest.mark.parametrize(
    ("text", "source", "found"),
    [
        ("C2 is −0.2 points (−1.1 to +0.7).", "digits: C2a", []),
        ("C2 is −0.2 points.", "", ["−0.2: no cell is named"]),
        ("C2 is +0.2 points.", "digits: C2a", ["+0.2: not of C2a", "C2a: not in the text"]),
        ("C2 is −0.3 points.", "digits: C2a", ["−0.3: not of C2a", "C2a: not in the text"]),
        ("C2 is −0.2 points.", "digits: C2a; C1a", ["C1a: not in the text"]),
        ("C2 is −0.2 and +0.2, C1 is −1.7.", "digits: C2a; C2b; C1a", []),
        ("C2 is −0.2 and +0.2 points.", "digits: C2b; C2a", ["−0.2: not of C2b", "C2a: not in the text"]),
        ("Both have .04, λ = 0 has .05.", f"digits: {PAIRS}; ddcl_w0 baug dvr mean_abs_cosine; given 0", []),
        ("Both have .05, λ = 0 has .04.", f"digits: {PAIRS}; given 0", [".05: not of ddcl baug dvr mean_abs_cosine"]),
        ("In 5 of eight seeds.", f"textures: {COUNT}", []),
        ("In 8 seeds.", f"textures: {COUNT}", ["8: not of " + COUNT, COUNT + ": not in the text"]),
        ("Of 899 images, 95 % intervals.", "digits: given 899", []),
    ],
)
def test_what_is_wrong_with_a_sentence(text: str, source: str, found: list[str]) -> None:
    assert wrong(Passage(text, source)) == found


def test_what_is_wrong_with_a_table() -> None:
    rows = ["| DDCL | 96.5 ± 1.0 |", "| SimSiam | 96.6 ± 0.6 |"]
    assert wrong_cells(rows, "digits table: ddcl; simsiam | linear top1 baug") == [
        "SimSiam, linear top1 baug: 96.6 ± 0.6"
    ]
    rows, source = ["| DDCL | – |", "| SimSiam | 96.7 |"], "digits table: ddcl; simsiam | linear top1 baug"
    assert wrong_cells(rows, source) == ["DDCL, linear top1 baug: –"]
    claims = ["| C2 | inconclusive | −0.2 points |"]
    assert wrong_cells(claims, "digits table: C2a | .verdict; *") == []
    assert wrong_cells(claims, "digits table: C2b | .verdict; *") == [
        "C2, .verdict: inconclusive",
        "C2, *: −0.2 points",
    ]


def test_headings_tables_and_code_are_no_prose() -> None:
    page = "# 1 of 2\n\nA `3` and [4](5.md). <!-- a: given 4 --> Then six.\n\n| 7 |\n|---|\n| 8 |\n\n![9](9.png)\n"
    assert [(own.text.strip(), own.source) for own in passages(page)] == [
        ("A  and [4.", "a: given 4"),
        ("Then six.", ""),
    ]
