"""How the page prints numbers and counts: never finer than their interval, and never as −0.0."""

from __future__ import annotations

import re
from math import floor, isinf, isnan, log10

MINUS = "−"
HYPHEN = re.compile(r"(?<!\w)-(?=\d)")
NOTHING = "–"
FEWEST, MOST = 0, 4  # decimals


def decimals(half_width: float) -> int:
    """Return how many decimals a number has that is known to ± half_width, in its own unit."""
    if isnan(half_width) or half_width <= 0:
        return 2
    if half_width >= 10:
        return FEWEST
    return min(max(1, 1 - floor(log10(half_width) + 0.7)), MOST)  # tenths from 0.2 on, hundredths from 0.02 on


def signed(value: float, places: int) -> str:
    """Return ``+0.3``, ``−0.3`` or ``0.0``."""
    return f"{value:+z.{places}f}".replace("-", MINUS) if round(value, places) else f"{0:.{places}f}"


def plain(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent: ``1,234``, ``0.012``."""
    if isnan(value):
        return NOTHING
    if isinf(value):
        return "∞"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace("-", MINUS)
    places = max(0, digits - 1 - floor(log10(abs(value))))
    text = f"{value:.{places}f}".replace("-", MINUS)
    return text.rstrip("0").rstrip(".") if "." in text else text


def interval(effect: float, low: float, high: float, scale: float) -> tuple[str, str]:
    """Return an effect and its interval: ``("+0.3", "−0.2 to +0.8")``; without an interval the latter is empty.

    scale: the smallest effect that matters, which says how fine a number without an interval is printed.
    """
    if isnan(effect):
        return NOTHING, ""
    places = decimals(max(scale / 2 if isnan(low) else (high - low) / 2, scale / 10))
    if isnan(low):
        return signed(effect, places), ""
    return signed(effect, places), f"{signed(low, places)} to {signed(high, places)}"


def minus(text: str) -> str:
    """Return a text in which negative numbers have a minus, and no hyphen."""
    return HYPHEN.sub(MINUS, text)


def probability(p: float) -> str:
    """Return a p value: ``0.012``, ``< 0.001``, ``> 0.99``."""
    if isnan(p):
        return NOTHING
    if p < 0.001:
        return "< 0.001"
    return "> 0.99" if p > 0.99 else f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"


def count(n: int, what: str) -> str:
    """Return ``1 seed`` or ``1,200 seeds``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def amount(value: float, unit: str) -> str:
    """Return ``1 point`` or ``1.4 points``; units that are no plural stay as they are."""
    text = plain(value)
    return f"{text} {'point' if text == '1' and unit == 'points' else unit}".strip()
