"""results/tables/README.md says what each column means, and where it is."""

from __future__ import annotations

from ddcl.reference_columns import COLUMNS
from ddcl.report.tables.dictionary import dictionary


def test_a_column_says_in_which_files_it_is() -> None:
    text = dictionary({"a.csv": ["mean", "p"], "b.csv": ["mean"]})
    assert f"| `mean` | {COLUMNS['mean']} | all |" in text
    assert "| `a.csv` |" in text
