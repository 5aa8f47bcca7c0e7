"""A printed table as HTML."""

from __future__ import annotations

from html import escape

from ddcl.report.printing import Printed


def to_html(printed: Printed) -> str:
    """Return a <table> element, followed by its notes."""
    heads = "".join(f'<th scope="col" class="key">{escape(name)}</th>' for name in printed.row_keys)
    heads += "".join(f'<th scope="col">{escape(name)}</th>' for name in printed.headers)
    body = []
    for labels, cells in printed.rows:
        row = "".join(f'<th scope="row">{escape(label)}</th>' for label in labels)
        body.append(f"<tr>{row}{''.join(f'<td>{escape(cell.text)}</td>' for cell in cells)}</tr>")
    notes = f'<p class="notes">{escape("; ".join(printed.notes))}</p>' if printed.notes else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>{notes}"
