"""What the report says of each figure and picture of a suite."""

from __future__ import annotations

from typing import Any

from ddcl.report.figures.registry import FIGURES


def described(suite: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return caption and alternative text of the suite's figures, then of its pictures, by name."""
    found = {name: (FIGURES[name].caption, FIGURES[name].alt) for name in suite["figures"]}
    return found | {entry["name"]: (entry["caption"], entry["alt"]) for entry in suite.get("pictures", [])}
