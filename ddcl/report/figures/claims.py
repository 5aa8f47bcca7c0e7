"""Forest plot: the effect of every check of a claim and of its comparisons, with intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ddcl.report.claims.contrasts import Address
from ddcl.report.claims.judged import Finding, JudgedCheck, JudgedClaim, JudgedComparison, read_judged
from ddcl.report.claims.verdicts import (
    CONTRADICTED,
    DIFFERS,
    INCONCLUSIVE,
    NO_EFFECT,
    NOT_RUN,
    NOT_TESTABLE,
    SUPPORTED,
    UNDECIDED,
)
from ddcl.report.collected import Collected
from ddcl.report.figures.layout import INK, NOTE, WIDTH, FigureStyle

STYLES = {  # of verdicts: apart in hue, in lightness and in shape
    SUPPORTED: ("#0072B2", "o"),
    CONTRADICTED: ("#D55E00", "X"),
    NO_EFFECT: ("#222222", "P"),
    INCONCLUSIVE: ("#777777", "D"),
    NOT_TESTABLE: ("#BBBBBB", "v"),
    DIFFERS: ("#CC79A7", "s"),
    NOT_RUN: ("#999999", "|"),
}
REACH = 10.0  # of the axis, in smallest effects that matter; longer intervals end in an arrow
ROW = 0.125  # inches
MOST_ROWS = 90  # a taller figure fits no page: then checks only, the comparisons are in the CSV


class Row(NamedTuple):
    """A line of the plot; `scale`: the smallest effect that matters; without a finding, or an effect, words only."""

    label: str
    kind: str  # claim, check or comparison
    verdict: str = ""
    finding: Finding | None = None
    scale: float = 1.0
    hollow: bool = False
    remark: str = ""


def claims(found: Collected) -> Figure:
    """Draw all claims of the suite, with their comparisons where there is room."""
    judged, look = read_judged(found), FigureStyle(found.plan)
    rows = list(_rows(judged, look, comparisons=True))
    if len(rows) > MOST_ROWS:
        rows = list(_rows(judged, look, comparisons=False))
    figure = Figure(figsize=(WIDTH, max(len(rows), 6) * ROW + 1.0), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-1, 1, color="#EEEEEE", linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=0.7, zorder=1)
    for place, row in enumerate(rows):
        _draw(axes, place, row)
    if not rows:
        axes.text(0.5, 0.5, "no claims in the suite: no data", transform=axes.transAxes, ha="center", color=NOTE)
    axes.set(xlim=(-REACH, REACH), ylim=(max(len(rows), 1) - 0.4, -0.8), xticks=[-REACH, -5, 0, 5, REACH])
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontsize({"claim": 7, "check": 6}.get(row.kind, 5.2))
        text.set_fontweight("bold" if row.kind == "claim" else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.set_xlabel("Effect ÷ smallest effect that matters (right: in favour of the claim)")
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=4)
    return figure


def _rows(judged: list[JudgedClaim], look: FigureStyle, comparisons: bool) -> Iterator[Row]:
    for form in (form for claim in judged for form in claim.forms):
        yield Row(f"{form.name}: {form.verdict}", "claim", form.verdict)
        for check in form.checks:
            yield _check_row(check)
            if comparisons and check.decides and len(check.comparisons) > 1:
                yield from (_comparison_row(each, check, look) for each in check.comparisons)


def _check_row(check: JudgedCheck) -> Row:
    seeds = f", {check.n_seeds} seed{'s' * (check.n_seeds > 1)}" if check.n_seeds else ""
    label = f"{check.label}{seeds}"
    remark = check.verdict if np.isnan(check.effect) else f"{check.effect:+.2f} {check.unit}"
    scale, hollow = check.smallest_effect, not check.decides
    return Row(label, "check", check.verdict, check, scale, hollow, remark.replace("-", "−"))


def _comparison_row(result: JudgedComparison, check: JudgedCheck, look: FigureStyle) -> Row:
    own, other = result.treatment, result.control
    names = [look.label("variant", each.variant) for each in (own, other)]
    for key in (key for key in result.differing if key != "augmentation"):  # that is among the conditions
        words = (str(getattr(each, key)).replace("_", " ") for each in (own, other))
        names = [f"{name} {word}" for name, word in zip(names, words, strict=True)]
    label = ", ".join([" − ".join(names), *_conditions(own, look, check)])
    return Row(label, "comparison", result.verdict, result, result.smallest_effect)


def _conditions(own: Address, look: FigureStyle, check: JudgedCheck) -> Iterator[str]:
    """Yield what tells a comparison from the others of its check."""
    addresses = [each.treatment for each in check.comparisons]
    for key in ("dataset", "eval_dataset", "augmentation", "perturbation", "metric"):
        if len({getattr(each, key) for each in addresses}) > 1:
            name = str(getattr(own, key))
            yield look.plan.heading(name) if key == "metric" else look.label(key, name)


def _draw(axes: Axes, place: int, row: Row) -> None:
    """Draw one line: marker and interval, clipped with an arrow where they leave the axis."""
    colour, marker = STYLES.get(row.verdict, (INK, ""))
    if row.kind == "claim":
        axes.axhline(place - 0.5, color="#CCCCCC", linewidth=0.5)
        return
    large = row.kind == "check"
    if row.remark:
        axes.annotate(row.remark, (1.01, place), xycoords=("axes fraction", "data"), va="center", size=5.5, color=NOTE)
    found = row.finding
    if found is None or np.isnan(found.effect):
        return
    effect, low, high = (value / row.scale for value in (found.effect, found.ci_low, found.ci_high))
    if not np.isnan(low):
        ends = np.clip([low, high], -REACH, REACH)
        axes.plot(ends, [place, place], color=colour, linewidth=1.6 if large else 0.7, solid_capstyle="butt", zorder=2)
        for end, shape, beyond in ((-REACH, "<", low < -REACH), (REACH, ">", high > REACH)):
            if beyond:
                axes.plot(end, place, shape, color=colour, markersize=3, clip_on=False, zorder=3)
    if abs(effect) <= REACH:
        face = "white" if row.hollow else colour
        size = 4.6 if large else 2.4
        axes.plot(effect, place, marker, color=colour, markerfacecolor=face, markersize=size, linewidth=0, zorder=4)


def _legend(rows: list[Row]) -> list[Artist]:
    used = {row.verdict for row in rows if row.kind != "claim"} - {NOT_RUN}
    styles = [(name, *STYLES[name]) for name in STYLES if name in used or name not in UNDECIDED]
    return [
        Line2D([], [], linewidth=0, marker=marker, color=colour, markersize=4, label=textwrap.fill(name, 30))
        for name, colour, marker in styles
    ]
