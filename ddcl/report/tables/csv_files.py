"""Tables as CSV, and back: the same frame, but for its sources and digits after the fourth.

A spreadsheet takes a text that begins with = for a formula, and runs it: such texts get a quote before them.

Columns of `COUNTS` are whole numbers (empty: does not apply), those of `FLOATS` and `MORE_FLOATS` four digits after the
point (empty: no value), all others are texts (empty: an empty text).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ddcl.base.files import damage_named, write_text
from ddcl.report.sources import SOURCES

COUNTS = {"n_seeds": "int64", "seeds_expected": "int64", "n_draws": "Int64", "n_images": "int64", "n_pairs": "int64"}
FLOATS = dict.fromkeys(("mean", "sd", "sd_draws"), "float64")
MORE_FLOATS = dict.fromkeys(("difference", "ci_low", "ci_high", "p", "p_holm"), "float64")  # against the baseline
DIGITS = 4
FORMULA = "=+-@\t\r"  # what a formula begins with
QUOTE = "'"  # before such a text; to a spreadsheet it says: this is a text


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table's long frame, without its sources."""
    shown = frame.drop(columns=SOURCES, errors="ignore")
    write_text(path, csv_text(shown, f"%.{DIGITS}f"))


def read_csv(path: Path) -> pd.DataFrame:
    """Read what `write_csv` wrote, each column with its type."""
    with damage_named(path, "table", "`ddcl table` makes it again"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False).map(plain)
        for name, dtype in {**COUNTS, **FLOATS, **MORE_FLOATS}.items():
            if name in frame:
                numbers = pd.to_numeric(frame[name].replace("", None))
                frame[name] = numbers.astype(dtype)  # type: ignore[call-overload]
    return frame


def columns_of(path: Path) -> list[str]:
    """Return the columns of a table's CSV; `UserError` if it is missing or damaged."""
    with damage_named(path, "table", "`ddcl table` makes it again"):
        return list(pd.read_csv(path, nrows=0).columns)


def csv_text(frame: pd.DataFrame, float_format: str) -> str:
    """Return a frame as CSV without its index; `plain` gives the texts back."""
    texts = frame.select_dtypes(exclude=["number", "bool"]).columns
    shown = frame.assign(**{name: frame[name].map(_inert) for name in texts})
    text: str = shown.to_csv(index=False, float_format=float_format, lineterminator="\n")
    return text


def _inert(value: Any) -> Any:
    return f"{QUOTE}{value}" if isinstance(value, str) and value and value[0] in FORMULA + QUOTE else value


def plain(text: str) -> str:
    """Return a text as it was before it was written."""
    return text[1:] if text.startswith(QUOTE) and text[1:2] and text[1] in FORMULA + QUOTE else text
