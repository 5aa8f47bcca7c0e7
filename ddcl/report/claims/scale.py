"""The one scale of effects: in units of the smallest effect that matters, linear up to 1 and logarithmic beyond."""

from __future__ import annotations

from math import copysign, log10

REACH = 40.0  # in smallest effects that matter; what lies beyond is an arrow at the edge


def stretched(units: float) -> float:
    """Return where an effect stands: u itself up to ±1, then ±(1 + 2 log10 |u|); not cut at the ends.

    units: the effect divided by the smallest that matters.
    """
    return units if abs(units) <= 1 else copysign(1 + 2 * log10(abs(units)), units)


END = stretched(REACH)
TICKS = (-10.0, -1.0, 0.0, 1.0, 10.0)  # units that have a label


def place(units: float) -> float:
    """Return where an effect stands between the ends, from 0 (all against the claim) to 1; 0.5 is no effect."""
    return (min(max(stretched(units), -END), END) / END + 1) / 2
