"""Forest plot: the effect of every check of a claim and of its comparisons, with intervals, on the page's own scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ddcl.report.claims.contrasts import Address
from ddcl.report.claims.judged import Finding, JudgedCheck, JudgedClaim, JudgedComparison, read_judged
from ddcl.report.claims.scale import END, REACH, TICKS, stretched
from ddcl.report.claims.verdicts import NOT_TESTABLE
from ddcl.report.collected import Collected
from ddcl.report.figures.layout import BAND, INK, LINE, NOTE, WIDTH, FigureStyle
from ddcl.report.figures.svg import tell
from ddcl.report.numbers import interval

ROW = 0.135  # inches
MOST_ROWS = 90  # a taller figure fits no page: then checks only, the comparisons are in the CSV
FADED = 0.45  # of what fails a gate


class Row(NamedTuple):
    """A line of the plot. scale: the smallest effect that matters. decides: whether the verdict rests on it.

    Without a finding, or an effect, it has words only.
    """

    label: str
    kind: str  # claim, check or comparison
    finding: Finding | None = None
    variant: str = ""
    decides: bool = True
    remark: str = ""


def claims(found: Collected) -> Figure:
    """Draw all claims of the suite, with their comparisons where there is room."""
    judged, look = read_judged(found), FigureStyle(found.plan, all_runs=True)
    rows = list(_rows(judged, look, comparisons=True))
    if len(rows) > MOST_ROWS:
        rows = list(_rows(judged, look, comparisons=False))
    figure = Figure(figsize=(WIDTH, max(len(rows), 6) * ROW + 1.0), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-1, 1, color=BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=0.7, zorder=1)
    for place, row in enumerate(rows):
        _draw(axes, place, row, look)
    if not rows:
        axes.text(0.5, 0.5, "no claims in the suite: no data", transform=axes.transAxes, ha="center", color=NOTE)
    axes.set(xlim=(-END, END), ylim=(max(len(rows), 1) - 0.4, -0.8))
    axes.set_xticks(
        [stretched(tick) for tick in TICKS], [f"{tick:+g}×".replace("-", "−") if tick else "0" for tick in TICKS]
    )
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontsize({"claim": 7, "check": 6}.get(row.kind, 5.2))
        text.set_fontweight("bold" if row.kind == "claim" else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.set_xlabel("Effect ÷ smallest effect that matters, logarithmic beyond 1× (right: in favour of the claim)")
    figure.legend(handles=_legend(rows, look), loc="outside lower center", ncols=3)
    return figure


def _rows(judged: list[JudgedClaim], look: FigureStyle, comparisons: bool) -> Iterator[Row]:
    for form in (form for claim in judged for form in claim.forms):
        yield Row(f"{form.name}: {form.verdict}", "claim")
        for check in form.checks:
            yield _check_row(check)
            if comparisons and check.decides and len(check.comparisons) > 1:
                yield from (_comparison_row(each, check, look) for each in check.comparisons)


def _check_row(check: JudgedCheck) -> Row:
    seeds = f", {check.n_seeds} seed{'s' * (check.n_seeds > 1)}" if check.n_seeds else ""
    effect, _ = interval(check.effect, check.ci_low, check.ci_high, check.smallest_effect)
    remark = check.verdict if np.isnan(check.effect) else f"{effect} {check.unit}: {check.verdict}"
    variant = check.comparisons[0].treatment.variant if check.comparisons else ""
    return Row(f"{check.label}{seeds}", "check", check, variant, check.decides, remark)


def _comparison_row(result: JudgedComparison, check: JudgedCheck, look: FigureStyle) -> Row:
    own, other = result.treatment, result.control
    names = [look.label("variant", each.variant) for each in (own, other)]
    for key in (key for key in result.differing if key != "augmentation"):  # that is among the conditions
        words = (look.label(key, str(getattr(each, key))) for each in (own, other))
        names = [f"{name} {word}" for name, word in zip(names, words, strict=True)]
    label = ", ".join([" − ".join(names), *_conditions(own, look, check)])
    return Row(label, "comparison", result, own.variant)


def _conditions(own: Address, look: FigureStyle, check: JudgedCheck) -> Iterator[str]:
    """Yield what tells a comparison from the others of its check."""
    addresses = [each.treatment for each in check.comparisons]
    for key in ("dataset", "eval_dataset", "augmentation", "perturbation", "metric"):
        if len({getattr(each, key) for each in addresses}) > 1:
            name = str(getattr(own, key))
            yield look.plan.heading(name) if key == "metric" else look.label(key, name)


def _draw(axes: Axes, place: int, row: Row, look: FigureStyle) -> None:
    """Draw one line: interval and marker. Dotted: there is no interval. Arrow: it leaves the axis."""
    if row.kind == "claim":
        axes.axhline(place - 0.5, color=LINE, linewidth=0.5)
        return
    large = row.kind == "check"
    if row.remark:
        axes.annotate(row.remark, (1.01, place), xycoords=("axes fraction", "data"), va="center", size=5.5, color=NOTE)
    found = row.finding
    if found is None or np.isnan(found.effect):
        return
    mark = look.mark(row.variant) | ({"markerfacecolor": "white"} if not row.decides else {})
    faint: dict[str, Any] = {"alpha": FADED if found.verdict == NOT_TESTABLE else 1.0}
    ends = (found.effect, found.ci_low, found.ci_high)
    effect, low, high = (stretched(value / found.smallest_effect) for value in ends)
    if np.isnan(low):
        axes.plot([-END, END], [place, place], color=NOTE, linewidth=0.7, linestyle=":", zorder=2)
        mark |= {"markerfacecolor": "white", "markeredgecolor": NOTE}
    else:
        line: dict[str, Any] = {"linewidth": 1.8 if large else 0.8, "solid_capstyle": "butt", "zorder": 2}
        axes.plot(np.clip([low, high], -END, END), [place, place], color=mark["color"], **line, **faint)
        for end, shape, beyond in ((-END, "<", low < -END), (END, ">", high > END)):
            if beyond:
                axes.plot(end, place, shape, color=mark["color"], markersize=3, clip_on=False, zorder=3, **faint)
    if abs(effect) > END:  # the mark itself is beyond the edge: an arrow in its colour, filled like it
        mark |= {"marker": ">" if effect > 0 else "<"}
    shown: dict[str, Any] = mark | faint | {"markersize": 4.6 if large else 2.8, "linewidth": 0, "zorder": 4}
    (drawn,) = axes.plot(np.clip(effect, -END, END), place, clip_on=False, **shown)
    tell(drawn, _told(row.label, found))


def _told(label: str, found: Finding) -> str:
    effect, between = interval(found.effect, found.ci_low, found.ci_high, found.smallest_effect)
    return f"{label}: {effect} ({between or 'no interval'}), {found.verdict}"


def _legend(rows: list[Row], look: FigureStyle) -> list[Artist]:
    drawn = dict.fromkeys(row.variant for row in rows if row.finding and not np.isnan(row.finding.effect))
    size: dict[str, Any] = {"linewidth": 1.8, "markersize": 4}
    marks = [Line2D([], [], label=look.label("variant", name), **look.mark(name) | size) for name in drawn]
    hollow: dict[str, Any] = {"marker": "o", "markersize": 4, "color": NOTE, "markerfacecolor": "white"}
    return [
        *marks,
        Line2D([], [], **hollow, linewidth=0, label="hollow: reported only"),
        Line2D([], [], **hollow, linewidth=0.7, linestyle=":", label="dotted: no interval"),
        Line2D([], [], linewidth=0, marker=">", color=NOTE, markersize=3, label=f"beyond ±{REACH:g}×"),
        Patch(color=BAND, label="too small to matter"),
    ]
