"""What the options of the command line may say. Whatever else is given ends in one line that says what is allowed."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

MOST = 1024  # threads, draws or column sets: far more than anybody needs, and less than makes libraries fall over

LONGEST_LINE = 200  # as of a label in ddcl.schema.names


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return the type of an option that is a whole number from `low`, to `high` if there is one."""
    allowed = f"a whole number from {low}" + (f" to {high}" if high is not None else "")

    def number(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= 19
        if not digits or int(text) < low or (high is not None and int(text) > high):
            raise argparse.ArgumentTypeError(f"expected {allowed}, found {text[:40]!r}")
        return int(text)

    return number


positive = _whole(1)
side = _whole(8, 16384)  # as MOST_PX of ddcl.schema.suites, which takes long to import
count = _whole(1, MOST)
natural = _whole(0, MOST)
seed = _whole(0, 2**63 - 1)


def line(text: str) -> str:
    """Return a line of text that people can read."""
    if not text.isprintable() or text != text.strip() or len(text) > LONGEST_LINE:
        expected = f"expected a line of at most {LONGEST_LINE} characters, without spaces at its ends"
        raise argparse.ArgumentTypeError(f"{expected}, found {text[:80]!r}")
    return text


def _number(expected: str, allowed: Callable[[float], bool], hint: str = "") -> Callable[[str], float]:
    """Return the type of an option that is a number; nothing is allowed that is none."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}{hint}")
        return value

    return number


minutes = _number("minutes from 0", lambda value: 0 <= value < math.inf, " (here or in DDCL_CHECKPOINT_MINUTES)")
share = _number("a number between 0 and 1", lambda value: 0 < value < 1)
above_zero = _number("a number above 0", lambda value: 0 < value < math.inf)
correlation = _number("a number from -1 to below 1", lambda value: -1 <= value < 1)
pixel_value = _number("a number in [0, 1]", lambda value: 0 <= value <= 1)
