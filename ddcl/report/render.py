"""The report stage: reads the collected files and writes one table, one figure or the page."""

from __future__ import annotations

from pathlib import Path

from ddcl.core.errors import check_name
from ddcl.report.collected import Collected


def render_table(name: str, results: Path) -> None:
    """Write `results`/tables/`name`.{csv,md,tex}."""
    from ddcl.report.printing import write_table
    from ddcl.report.tables import build_table

    found = Collected.load(results)
    spec = found.spec(name)
    frame = build_table(found.records, found.histories, found.suite, spec)
    write_table(frame, spec, found.suite, results / "tables" / name)


def render_claims(results: Path) -> dict[str, str]:
    """Write claims, their checks and comparisons and macros.tex to `results`/tables; return each claim's verdict."""
    from ddcl.core.files import write_text
    from ddcl.report.claim_tables import write_claims
    from ddcl.report.claims import judge_claims
    from ddcl.report.macros import macros

    found = Collected.load(results)
    claims = judge_claims(found)
    write_claims(claims, results / "tables")
    write_text(results / "tables" / "macros.tex", macros(found, claims))
    return {claim.name: claim.verdict for claim in claims}


def render_figure(name: str, results: Path) -> None:
    """Write `results`/figures/`name`.{png,pdf}."""
    from ddcl.report.figures import FIGURES
    from ddcl.report.figures.layout import write_figure

    check_name("figure", name, FIGURES, "ddcl figure")
    found = Collected.load(results)
    write_figure(FIGURES[name].draw(found), results / "figures" / name)


def render_page(results: Path) -> Path:
    """Write `results`/report/index.html from the collected files and the drawn figures; return its path."""
    from ddcl.report.html import to_html
    from ddcl.report.page import write_page
    from ddcl.report.printing import layout
    from ddcl.report.tables import build_table

    found = Collected.load(results)
    tables = {}
    for name in found.suite["tables"]:
        spec = found.spec(name)
        frame = build_table(found.records, found.histories, found.suite, spec)
        tables[name] = (spec.title, spec.caption, to_html(layout(frame, spec, found.suite)))
    out = results / "report" / "index.html"
    write_page(found.suite, found.runs, found.records, tables, results / "figures", out)
    return out
