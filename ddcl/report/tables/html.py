"""Tables as HTML: each number stands out as its emphasis says, and in the page leads to where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from ddcl.base.files import write_text
from ddcl.report.tables.printing import MARKS, Cell, Printed
from ddcl.schema.tables import TableSpec

ELEMENTS = {"best": "strong", "tied": "u"}  # of an emphasis
CODE = re.compile(r"`([^`]+)`")


def to_html(printed: Printed, anchors: Mapping[str, str] | None = None) -> str:
    """Return a <table> element, followed by its notes.

    anchors: source of a number -> id of the element of the page that it leads to; without them nothing is a link.
    """
    heads = "".join(f'<th scope="col" class="key">{escape(name)}</th>' for name in printed.row_keys)
    heads += "".join(f'<th scope="col">{escape(name)}</th>' for name in printed.headers)
    body = []
    for labels, cells in printed.rows:
        row = "".join(f'<th scope="row">{escape(label)}</th>' for label in labels)
        body.append(f"<tr>{row}{''.join(_td(cell, anchors or {}) for cell in cells)}</tr>")
    notes = f'<p class="notes">{escape("; ".join(printed.notes))}</p>' if printed.notes else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>{notes}"


def _td(cell: Cell, anchors: Mapping[str, str]) -> str:
    """Return a cell: marked where a run is missing or did not end well, and a link where its sources are on the page.

    `data-from` names all places where there are several: of the values that a mean or a difference is made of.
    """
    text = str(escape(cell.text))
    if cell.emphasis:
        element = ELEMENTS[cell.emphasis]
        text = f"<{element}>{text}</{element}>"
    places = list(dict.fromkeys(anchors[source] for source in cell.sources if source in anchors))
    if places:
        more = f' data-from="{" ".join(places)}"' if len(places) > 1 else ""
        text = f'<a class="from" href="#{places[0]}"{more}>{text}</a>'
    bad = any(mark in cell.text for mark, _ in MARKS.values())
    return f'<td class="bad">{text}</td>' if bad else f"<td>{text}</td>"


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
        title=spec.title, caption=with_code(spec.caption), table=Markup(to_html(printed))
    )
    write_text(out, page)
