"""Tables as HTML: differences from the baseline first, then levels; each number leads to where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape

from ddcl.base.files import write_text
from ddcl.report.numbers import signed
from ddcl.report.tables.differences import NUMBERS
from ddcl.report.tables.printing import MARKS, Cell, Printed
from ddcl.schema.tables import TableSpec

SIGNS = {"better": "▲", "worse": "▼", "": ""}
CODE = re.compile(r"`([^`]+)`")
SELECTED = ("dataset", "evaluation", "part", "augmentation")  # what the page can choose by
COARSE = ("%", "points", "epochs", "s")  # units that differences have one decimal in
REACH = 50.0  # percent of a bar's width, either way
PAPER = "paper: the same difference in the paper’s table, on ImageNet-100, from one run each"
LONG = 40  # letters that fit on one line of a head of a row


class Place(NamedTuple):
    """What of the page a table needs.

    anchors: source of a number -> id of the element that it leads to; without them nothing is a link. name: of the
    table, for ids. marks: variant -> the <svg> of its method's mark.
    """

    anchors: Mapping[str, str] = {}
    name: str = ""
    marks: Mapping[str, Markup] = {}


def to_html(printed: Printed, place: Place = Place(), rows: Sequence[int] | None = None) -> str:  # noqa: B008
    """Return a <table> of the rows with these numbers (None: all), in blocks of what stands before the method.

    End tags that HTML does not need are left out: most of a page is such rows.
    """
    chosen = list(range(len(printed.rows)) if rows is None else rows)
    first = printed.row_keys.index("variant") if "variant" in printed.row_keys else 0
    order = list(range(first, len(printed.row_keys)))
    heads = "".join(f'<th scope="col" class="key">{escape(_words(printed.row_keys[i]))}</th>' for i in order)
    columns = printed.columns or [{} for _ in printed.headers]
    heads += "".join(
        f'<th scope="col"{_data(column)}>{escape(name)}</th>'
        for name, column in zip(printed.headers, columns, strict=True)
    )
    scale = _scale(cell for number in chosen for cell in printed.rows[number][1])
    body = ""
    for labels, own in groupby(chosen, lambda number: printed.rows[number][0][:first]):
        block = ", ".join(map(_heading, printed.row_keys, labels))
        head = f'<tr class="block"><th scope="rowgroup" colspan="{len(order) + len(columns)}">{escape(block)}'
        rows_of_block = "".join(_tr(printed, number, order, place, scale) for number in own)
        body += f"<tbody>{head if block else ''}{rows_of_block}</tbody>"
    return f"<table><thead><tr>{heads}</tr></thead>{body or '<tbody></tbody>'}</table>"


def _heading(key: str, label: str) -> str:
    """Return how a block of rows is headed: ``Pretrained with BAug``."""
    return f"pretrained with {label}" if key == "augmentation" and label != "no training" else label


def notes(printed: Printed) -> str:
    """Return the notes of a table."""
    shown = [PAPER] * any(cell.paper is not None for _, cells in printed.rows for cell in cells)
    texts = [*printed.notes, *shown]
    return f'<p class="notes">{escape("; ".join(texts))}</p>' if texts else ""


def _words(key: str) -> str:
    return {"variant": "method", "eval_dataset": "tested on", "dataset": "data set"}.get(key, key.replace("_", " "))


def _wrap(label: str) -> str:
    """Return the class of a row's head that is a sentence: on one line it would push the numbers off the screen."""
    return ' class="wrap"' if len(label) > LONG else ""


def _tr(printed: Printed, number: int, order: list[int], place: Place, scale: float) -> str:
    labels, cells = printed.rows[number]
    keys = printed.keys[number] if printed.keys else {}
    mark = place.marks.get(str(keys.get("variant", "")), "")
    heads = "".join(
        f"<th{_wrap(labels[i])}>{mark if place_ == 0 else ''}{escape(labels[i])}" for place_, i in enumerate(order)
    )
    tds = "".join(
        _td(cell, place, f"{place.name}-{number}-{column}" if place.name else "", scale)
        for column, cell in enumerate(cells)
    )
    return f"<tr{_data(keys)}>{heads}{tds}"


def _data(keys: Mapping[Any, Any]) -> str:
    """Return what of the names the page can choose by, as attributes."""
    return "".join(f' data-{key.replace("_", "-")}="{escape(keys[key])}"' for key in SELECTED if key in keys)


def _td(cell: Cell, place: Place, name: str, scale: float) -> str:
    """Return a cell: its difference and its level, marked where a run is missing or did not end well.

    `data-from` names all places where there are several: of the values that a mean or a difference is made of.
    """
    text = str(escape(cell.text))
    if cell.emphasis and cell.difference is None:
        text = f"<strong>{text}</strong> {SIGNS[cell.emphasis]}"
    if cell.difference is not None:
        text = f'<span class="lv">{text}</span>{_difference(cell, place, scale)}'
    places = list(dict.fromkeys(place.anchors[source] for source in cell.sources if source in place.anchors))
    if places:
        more = f' data-from="{" ".join(places)}"' if len(places) > 1 else ""
        text = f'<a class="from" href="#{places[0]}"{more}>{text}</a>'
    bad = ' class="bad"' if any(mark in cell.text for mark, _ in MARKS.values()) else ""
    own = f' id="{name}"' if name and places else ""
    return f"<td{own}{bad}>{text}"


def _difference(cell: Cell, place: Place, scale: float) -> str:
    """Return the difference from the baseline, its interval below it, and both as a bar."""
    assert cell.difference is not None
    effect, low, high, *_ = (cell.difference[name] for name in NUMBERS)
    places = 1 if cell.difference["unit"] in COARSE else 2
    text = signed(effect, places)
    if cell.emphasis:
        text = f"<strong>{text}</strong> {SIGNS[cell.emphasis]}"
    if low == low:
        ends = " to ".join(signed(end, places) for end in (low, high))
        left, right = (max(-REACH, min(REACH, REACH * end / scale)) for end in (low, high))
        middle = max(-REACH, min(REACH, REACH * effect / scale))
        bar = f'<i class="b" style="--a:{left:.0f};--w:{right - left:.0f};--m:{middle:.0f}"></i>'
        text += f"<small>{ends}</small>{bar}"
    if cell.paper is not None:
        text += f'<small class="paper-value">paper {signed(cell.paper, 2)}</small>'
    return f'<span class="df">{text}</span>'


def _scale(cells: Any) -> float:
    """Return what half a bar stands for: the largest interval's end, as a round number."""
    ends = [
        abs(cell.difference[name]) for cell in cells if cell.difference is not None for name in ("ci_low", "ci_high")
    ]
    finite = sorted(end for end in ends if end == end)
    if not finite:
        return 1.0
    most = finite[ceil(0.9 * (len(finite) - 1))]  # nine in ten fit; the others are cut at the edge
    return next((step for step in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if step >= most), 100.0)


def with_code(text: str) -> Markup:
    """Return a text in which `words` between backticks are <code>, all else escaped."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))


def template(name: str) -> jinja2.Template:
    """Return a template of this package; a name that it is not given is an error."""
    loader = jinja2.PackageLoader("ddcl.report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(name)


def write_table_page(printed: Printed, spec: TableSpec, out: Path) -> None:
    """Write one table as an HTML page of its own."""
    page = template("table.html.j2").render(
        title=spec.title,
        caption=with_code(spec.caption),
        table=Markup(to_html(printed) + notes(printed)),
        differences=any(cell.difference for _, cells in printed.rows for cell in cells),
        marks={"light": "", "dark": ""},
    )
    write_text(out, page)
