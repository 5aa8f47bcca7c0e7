"""The report: one self-contained HTML page that works offline, without JavaScript, and on paper."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from typing import NamedTuple, TypeAlias

from markupsafe import Markup

from ddcl.base.files import write_text
from ddcl.plan.plan import Plan, PlannedFigure, PlannedPicture
from ddcl.report.claims.judged import read_judged
from ddcl.report.collect import CollectedRun
from ddcl.report.collected import Collected
from ddcl.report.page.cards import anchor_of, build_cards
from ddcl.report.page.citation import bibtex
from ddcl.report.page.claim_lines import LOOKS, Claim, claim_lines
from ddcl.report.page.facts import attention, facts, run_status
from ddcl.report.tables.build import build_table
from ddcl.report.tables.cells import expected_cells
from ddcl.report.tables.html import template, to_html, with_code
from ddcl.report.tables.printing import Printed, layout
from ddcl.schema.claims import FILES, MACROS
from ddcl.schema.published import PublishedNumber
from ddcl.schema.tables import TableSpec

TABLE_FORMATS = {"CSV": "csv", "Markdown": "md", "LaTeX": "tex", "HTML": "html"}
FIGURE_FORMATS = {"PDF": "pdf", "PNG": "png"}
Links: TypeAlias = list[tuple[str, str]]  # text, address


class ShownTable(NamedTuple):
    """What the template needs of a table."""

    name: str
    title: str
    caption: Markup
    html: Markup
    links: Links


class ShownFigure(NamedTuple):
    """What the template needs of a figure. uri: its PNG as a data URI; None: it was not drawn."""

    name: str
    caption: Markup
    alt: str
    uri: str | None
    links: Links


def write_page(found: Collected, out: Path) -> None:
    """Write the page of what was collected to `out`, with the figures that were drawn below `found.results`."""
    plan = found.plan
    specs = plan.tables
    cells = expected_cells(found.records, plan)
    printed = {
        name: layout(build_table(found.records, found.histories, plan, spec, cells, found.other_code), spec, plan)
        for name, spec in specs.items()
    }
    cards = build_cards(found, cells)
    published = _published(plan, printed)
    anchors = cards.anchors | {number.place: f"p{number.line}" for number in published}
    claims = claim_lines(read_judged(found), plan, anchors | {card.name: card.anchor for card in cards.cards})
    page = template("page.html.j2").render(
        suite=plan,
        labels=plan.labels,
        claims=claims,
        tally=_tally(claims),
        facts=facts(found),
        attention=attention(found),
        tables=[_table(name, specs[name], printed[name], anchors) for name in specs],
        emphasis=any(cell.emphasis for table in printed.values() for _, cells in table.rows for cell in cells),
        figures=[_figure(name, words, found.results / "figures") for name, words in described(plan).items()],
        runs=[_run_line(each, found) for each in found.runs],
        cards=cards.cards,
        published=published,
        downloads=_downloads(found, specs),
        bibtex=bibtex(),
    )
    write_text(out, page)


def _run_line(each: CollectedRun, found: Collected) -> tuple[CollectedRun, str, str]:
    """Return a run, the anchor of its column and its status."""
    name = each.run.name
    return each, anchor_of(name), run_status(each, found.results / found.plan.run(name).folder)


def _table(name: str, spec: TableSpec, printed: Printed, anchors: dict[str, str]) -> ShownTable:
    html = Markup(to_html(printed, anchors))
    return ShownTable(name, spec.title, with_code(spec.caption), html, _links("tables", name, TABLE_FORMATS))


def described(plan: Plan) -> dict[str, PlannedFigure | PlannedPicture]:
    """Return caption and alternative text of the suite's figures, then of its pictures, by name."""
    return {**plan.figures, **{picture.name: picture for picture in plan.pictures}}


def _figure(name: str, words: PlannedFigure | PlannedPicture, folder: Path) -> ShownFigure:
    path = folder / f"{name}.png"
    png = base64.b64encode(path.read_bytes()).decode() if path.exists() else ""
    uri = f"data:image/png;base64,{png}" if png else None
    return ShownFigure(name, with_code(words.caption), words.alt, uri, _links("figures", name, FIGURE_FORMATS))


def _links(folder: str, name: str, formats: dict[str, str]) -> Links:
    return [(label, f"../{folder}/{name}.{end}") for label, end in formats.items()]


def _published(plan: Plan, printed: dict[str, Printed]) -> list[PublishedNumber]:
    """Return the rows of config/published.csv that numbers of the tables come from."""
    cells = (cell for table in printed.values() for _, row in table.rows for cell in row)
    used = {source for cell in cells for source in cell.sources}
    return [number for number in plan.published if number.place in used]


def _tally(claims: list[Claim]) -> str:
    """Return how many of the paper's claims have which verdict: ``Of 8 claims …: 1 supported, 7 inconclusive``."""
    counts = Counter(claim.verdict.word for claim in claims if claim.papers)
    found = ", ".join(f"{counts[word]} {word}" for word in LOOKS if counts[word])
    return f"Of {counts.total()} claims, on the evidence of this suite: {found}"


def _downloads(found: Collected, specs: dict[str, TableSpec]) -> list[tuple[str, Links]]:
    """Return named groups of links to the files beside the page; those of the claims where the suite has any."""
    listed = [(spec.title, _links("tables", name, TABLE_FORMATS)) for name, spec in specs.items()]
    if found.plan.claims:
        for title, names in (("Claims", FILES), ("Numbers as LaTeX commands", (MACROS,))):
            listed.append((title, [(name, f"../tables/{name}") for name in names]))
    listed += [(f"Figure {name}", _links("figures", name, FIGURE_FORMATS)) for name in described(found.plan)]
    files = ("records.parquet", "histories.parquet", "runs.json", "suite.json")
    return [*listed, ("Everything that the page is made of", [(name, f"../{name}") for name in files])]
