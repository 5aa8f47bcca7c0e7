"""Tables as CSV, and back: the same frame, but for its sources and digits after the fourth.

Columns of `COUNTS` are whole numbers (empty: does not apply), those of `FLOATS` have four digits after the point
(empty: no value), all others are texts (empty: an empty text).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ddcl.base.files import damage_named, write_text
from ddcl.report.sources import SOURCES

COUNTS = {"n_seeds": "int64", "seeds_expected": "int64", "n_draws": "Int64", "n_images": "int64"}
FLOATS = dict.fromkeys(("mean", "sd", "sd_draws"), "float64")
DIGITS = 4


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table's long frame, without its sources."""
    shown = frame.drop(columns=SOURCES, errors="ignore")
    write_text(path, shown.to_csv(index=False, float_format=f"%.{DIGITS}f", lineterminator="\n"))


def read_csv(path: Path) -> pd.DataFrame:
    """Read what `write_csv` wrote, each column with its type."""
    with damage_named(path, "table", "`ddcl table` makes it again"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        for name, dtype in {**COUNTS, **FLOATS}.items():
            if name in frame:
                numbers = pd.to_numeric(frame[name].replace("", None))
                frame[name] = numbers.astype(dtype)  # type: ignore[call-overload]
    return frame
