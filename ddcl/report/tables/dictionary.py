"""What each column of the CSV files in results/tables means: results/tables/README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ddcl.reference_columns import COLUMNS


def dictionary(files: Mapping[str, Sequence[str]]) -> str:
    """Return the Markdown of README.md. files: the columns of each CSV file, in order."""
    rows = "Made by `ddcl report`. One row per cell and metric, claim, check, comparison or gate."
    lines = ["# What the columns mean", "", rows]
    used = dict.fromkeys(name for columns in files.values() for name in columns)
    lines += ["", "| column | meaning | in |", "|---|---|---|"]
    for name in used:
        own = [file for file, columns in files.items() if name in columns]
        where = "all" if len(own) == len(files) else ", ".join(f"`{file}`" for file in own)
        lines.append(f"| `{name}` | {COLUMNS[name]} | {where} |")
    return "\n".join(lines) + "\n"
