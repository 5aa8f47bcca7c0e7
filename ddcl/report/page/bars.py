"""Intervals as small inline SVG on the one scale of effects (`ddcl.report.claims.scale`), and the methods' marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.markers import MarkerStyle

from ddcl.report.claims.scale import END, place, stretched
from ddcl.report.figures.svg import css_name
from ddcl.schema.claims import Reported
from ddcl.schema.marks import Mark

MARK = 4.2  # half the size of a mark, user units
LANE = {1: (9.0, 5.0), 2: (6.0, 2.4)}  # which line of a row: from the row's top, thickness
ROW, PAPER = 22.0, 4.0  # height of a row, and where the paper's bracket has its middle


class Line(NamedTuple):
    """An effect to draw. low, high: NaN for no interval. seeds: of each. faint: it fails a gate."""

    method: str
    effect: float
    low: float
    high: float
    smallest: float
    seeds: Sequence[float] = ()
    faint: bool = False


def symbols(marks: Mapping[str, Mark]) -> Markup:
    """Return the hidden <svg> with one symbol per method: its marker, in its colour."""
    own = "".join(
        f'<symbol id="g-{css_name(name)}" viewBox="-6 -6 12 12">{_marker(mark, name)}</symbol>'
        for name, mark in marks.items()
    )
    return Markup(f'<svg class="symbols" aria-hidden="true" width="0" height="0">{own}</svg>')


def _marker(mark: Mark, name: str) -> str:
    style = MarkerStyle(mark.marker)
    path = style.get_path().transformed(style.get_transform())
    lines = [np.asarray(line, float) for line in path.to_polygons(width=40, height=40, closed_only=False)]
    top = max(float(np.abs(line).max()) for line in lines)
    points = ("M" + "L".join(f"{x * MARK / top:.1f},{-y * MARK / top:.1f}" for x, y in line) for line in lines)
    end, colour = "" if mark.fill == "stroke" else "Z", f"var(--m-{css_name(name)})"
    fill = {"filled": colour, "open": "var(--card)", "stroke": "none"}[mark.fill]
    outline = end.join(points) + end
    return f'<path d="{outline}" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>'


def colours(marks: Mapping[str, Mark]) -> dict[str, str]:
    """Return the CSS variables of the methods' colours, on a light and on a dark page."""
    return {
        side: " ".join(f"--m-{css_name(name)}: {getattr(mark, side)};" for name, mark in marks.items())
        for side in ("light", "dark")
    }


def glyph(method: str, x: float = 6.0, y: float = 6.0, size: float = 12.0) -> Markup:
    """Return a <use> of a method's symbol with its middle at a place."""
    at = f'x="{x - size / 2:.1f}" y="{y - size / 2:.1f}" width="{size:g}" height="{size:g}"'
    return Markup(f'<use href="#g-{css_name(method)}" {at}/>')


def mark_of(method: str) -> Markup:
    """Return a small <svg> with a method's mark."""
    return Markup(f'<svg class="mark" aria-hidden="true"><use href="#g-{css_name(method)}"/></svg> ')


def bar(lines: Sequence[Line], reported: Reported | None, scale: float, width: float, told: str) -> Markup:
    """Return the <svg> of one row: up to two intervals, and the paper's values as a hollow bracket above them.

    scale: the smallest effect that matters, for the bracket. told: the same in words.
    """
    drawn = [_line(line, LANE[min(number, 2)], width, number) for number, line in enumerate(lines, 1)]
    if reported and reported.same_quantity:
        drawn.append(_bracket(reported, scale, width))
    height = ROW if len(lines) > 1 or reported else 18.0
    return Markup(
        f'<svg class="bar" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{Markup.escape(told)}">'
        f"{_ground(width, height)}{''.join(drawn)}</svg>"
    )


def _ground(width: float, height: float) -> str:
    low, high = width * place(-1), width * place(1)
    lines = "".join(f'<path class="tick" d="M{width * place(u):.1f},0V{height:g}"/>' for u in (-10.0, 10.0))
    return (
        f'<rect class="band" x="{low:.1f}" y="0" width="{high - low:.1f}" height="{height:g}"/>{lines}'
        f'<path class="zero" d="M{width / 2:.1f},0V{height:g}"/>'
    )


def _line(line: Line, lane: tuple[float, float], width: float, number: int) -> str:
    y, thick = lane[0] if number == 1 else 16.5, lane[1]
    if isnan(line.effect):
        return ""
    x, faint = width * place(line.effect / line.smallest), ' class="faint"' if line.faint else ""
    if isnan(line.low):
        return (
            f'<g{faint}><path class="dotted" d="M0,{y:g}H{width:g}"/>'
            f'<circle class="hollow" cx="{x:.1f}" cy="{y:g}" r="3"/></g>'
        )
    low, high = (width * place(value / line.smallest) for value in (line.low, line.high))
    arrows = "".join(
        f'<path class="arrow" d="M{end:g},{y:g}l{5 * way:g},-4v8z" style="--c: var(--m-{css_name(line.method)})"/>'
        for end, way, beyond in (
            (0.0, 1, stretched(line.low / line.smallest) < -END),
            (width, -1, stretched(line.high / line.smallest) > END),
        )
        if beyond
    )
    box = f'x="{low:.1f}" y="{y - thick / 2:g}" width="{max(high - low, 1):.1f}" height="{thick:g}"'
    interval = f'<rect class="ci" {box} style="--c: var(--m-{css_name(line.method)})"/>'
    dots = "".join(
        f'<circle class="seed" cx="{width * place(seed / line.smallest):.1f}" cy="{y:g}" r="1.3"/>'
        for seed in line.seeds
    )
    return f"<g{faint}>{interval}{arrows}{dots}{glyph(line.method, x, y, 11 if number == 1 else 8)}</g>"


def _bracket(reported: Reported, scale: float, width: float) -> str:
    low, high = (width * place(value / scale) for value in (reported.low, reported.high))
    wide = max(high - low, 5.0)
    middle = (low + high) / 2
    return f'<rect class="paper" x="{middle - wide / 2:.1f}" y="1" width="{wide:.1f}" height="4" rx="1.5"/>'


def scale(width: float = 215.0) -> Markup:
    """Return the <svg> of the axis above the bars."""
    ticks = "".join(
        f'<text x="{width * place(units):.1f}" y="10" text-anchor="middle">{text}</text>'
        for units, text in ((-10.0, "−10×"), (-1.0, "−1×"), (0.0, "0"), (1.0, "+1×"), (10.0, "+10×"))
    )
    return Markup(f'<svg class="axis" viewBox="0 0 {width:g} 14" aria-hidden="true">{ticks}</svg>')
