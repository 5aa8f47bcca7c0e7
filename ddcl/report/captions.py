"""The captions of the figures, as text of the source of `ddcl.report.figures`.

Snakemake shows them in its report. It reads the workflow at every start, where importing matplotlib would cost seconds.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

FIGURES = Path(__file__).with_name("figures")


@cache
def figure_captions() -> dict[str, str]:
    """Return the caption of each figure: the second argument of every ``NAME: Drawing(function, caption, alt)``."""
    found: dict[str, str] = {}
    for path in sorted(FIGURES.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "Drawing" and key:
                        found[ast.literal_eval(key)] = ast.literal_eval(value.args[1])
    return found
