"""Every column of every CSV file is explained."""

from __future__ import annotations

from ddcl.report.claims import claim_tables
from ddcl.report.sources import SOURCES
from ddcl.report.tables import build, published
from ddcl.report.tables.dictionary import COLUMNS, dictionary

OWN = (build.COLUMNS, published.COLUMNS, claim_tables.CLAIMS, claim_tables.CHECKS, claim_tables.COMPARISONS)


def test_every_column_is_explained_and_nothing_else() -> None:
    columns = {name for own in (*OWN, claim_tables.GATES) for name in own} - {SOURCES}
    assert columns <= set(COLUMNS)
    assert set(COLUMNS) <= columns | {"code"}
    assert all(meaning and "|" not in meaning for meaning in COLUMNS.values())


def test_a_column_says_in_which_files_it_is() -> None:
    text = dictionary({"a.csv": ["mean", "p"], "b.csv": ["mean"]})
    assert "| `mean` | over the seeds that have a value | all |" in text
    assert "| `a.csv` |" in text
