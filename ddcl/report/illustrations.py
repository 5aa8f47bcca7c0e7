"""What the report says of each figure and picture of a suite."""

from __future__ import annotations

from typing import Any

from ddcl.schema.figures import WORDS, Words


def described(suite: dict[str, Any]) -> dict[str, Words]:
    """Return caption and alternative text of the suite's figures, then of its pictures, by name."""
    found = {name: WORDS[name] for name in suite["figures"]}
    return found | {entry["name"]: Words(entry["caption"], entry["alt"]) for entry in suite.get("pictures", [])}
