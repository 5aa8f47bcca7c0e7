"""The report: one self-contained HTML page that works offline, without JavaScript, and on paper."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from markupsafe import Markup, escape

from ddcl.base.files import write_text
from ddcl.plan.plan import KEPT, Plan, PlannedFigure, PlannedPicture
from ddcl.report.claims.judged import JudgedClaim, read_judged
from ddcl.report.collect import CollectedRun
from ddcl.report.collected import Collected
from ddcl.report.figures.registry import code_of
from ddcl.report.page.bars import colours, mark_of, scale, symbols
from ddcl.report.page.cards import anchor_of, build_cards
from ddcl.report.page.citation import bibtex, sources
from ddcl.report.page.claim_details import Page, details
from ddcl.report.page.claim_rows import GLYPHS, MEANINGS, families, form_marks
from ddcl.report.page.facts import attention, facts, run_status
from ddcl.report.page.glossary import glossary
from ddcl.report.page.headline import could_have_seen, evidence
from ddcl.report.tables.build import build_table
from ddcl.report.tables.cells import expected_cells
from ddcl.report.tables.html import Place, notes, template, to_html, with_code
from ddcl.report.tables.printing import Printed, layout
from ddcl.schema.claims import FILES, MACROS
from ddcl.schema.figures import DIFFERENCES
from ddcl.schema.marks import GROUPS
from ddcl.schema.published import PublishedNumber
from ddcl.schema.registry import RANDOM_PARTS
from ddcl.schema.tables import TableSpec

TABLE_FORMATS = {"CSV": "csv", "Markdown": "md", "LaTeX": "tex", "HTML": "html"}
FIGURE_FORMATS = {"SVG": "svg", "PDF": "pdf", "PNG": "png"}
Links: TypeAlias = list[tuple[str, str]]  # text, address


class ShownTable(NamedTuple):
    """What the template needs of a table. groups: group, heading, <table> and number of rows of each."""

    name: str
    title: str
    caption: Markup
    groups: Sequence[tuple[str, str, Markup, int]]
    differences: bool
    notes: Markup
    links: Links


class ShownFigure(NamedTuple):
    """What the template needs of a figure.

    svg: inline; empty: it has none. uri: its PNG as a data URI; None: it was not drawn. code: the file that draws it.
    differences: the same as differences from the baseline, where it has such a view.
    """

    name: str
    caption: Markup
    alt: str
    svg: Markup
    uri: str | None
    links: Links
    code: str
    differences: ShownFigure | None = None


def write_page(found: Collected, out: Path) -> None:
    """Write the page of what was collected to `out`, with the figures that were drawn below `found.results`.

    It links to those files that are there; a snapshot has not all.
    """
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
    judged = read_judged(found)
    page = template("page.html.j2").render(
        suite=plan,
        labels=plan.labels,
        symbols=symbols(plan.marks),
        marks=colours(plan.marks),
        sources=sources(),
        glossary=glossary(),
        **_claims(judged, Page(plan, anchors | {card.name: card.anchor for card in cards.cards})),
        could_have_seen=could_have_seen(judged),
        evidence=evidence(found, judged),
        facts=facts(found),
        attention=attention(found),
        tables=[_table(name, specs[name], printed[name], found, anchors) for name in specs],
        selectors=selectors(plan),
        figures=_figures(plan, found.results),
        runs=[_run_line(each, found) for each in found.runs],
        cards=cards.cards,
        folders={run.folder for run in plan.runs if (found.results / run.folder).is_dir()},
        published=published,
        downloads=_downloads(found, specs),
        bibtex=bibtex(),
    )
    write_text(out, page)


def _claims(judged: list[JudgedClaim], page: Page) -> dict[str, Any]:
    """Return what the template needs of the claims. trace_rows: of each claim, its first row in claims.csv."""
    starts = accumulate((len(claim.forms) for claim in judged), initial=1)
    return {
        "families": families(judged, page.plan),
        "details": {claim.name: details(claim, page) for claim in judged},
        "trace_rows": {claim.name: start for claim, start in zip(judged, starts, strict=False)},
        "form_marks": form_marks(judged, page.plan),
        "mark": mark_of,
        "scale": scale(),
        "glyphs": GLYPHS,
        "meanings": MEANINGS,
    }


def _run_line(each: CollectedRun, found: Collected) -> tuple[CollectedRun, str, str]:
    """Return a run, the anchor of its column and its status."""
    name = each.run.name
    return each, anchor_of(name), run_status(each, found.results / found.plan.run(name).folder)


def _table(name: str, spec: TableSpec, printed: Printed, found: Collected, anchors: dict[str, str]) -> ShownTable:
    """Return a table in pieces: main arms, ablations, controls, encoders from elsewhere."""
    plan = found.plan
    methods = {run.variant: run.method for run in plan.runs}
    place = Place(anchors, f"t-{name}", {variant: mark_of(method) for variant, method in methods.items()})
    group_of = {run.variant: run.group for run in plan.runs}
    placed = ["control" if keys.get("part") in RANDOM_PARTS else group_of[keys["variant"]] for keys in printed.keys]
    rows = {group: [i for i, own in enumerate(placed) if own == group] for group in GROUPS}
    groups = [
        (group, GROUPS[group], Markup(to_html(printed, place, own)), len(own))
        for group, own in rows.items()
        if own or (group == "main" and not printed.rows)
    ]
    differences = any(cell.difference for _, cells in printed.rows for cell in cells)
    links = _links(found.results, "tables", name, TABLE_FORMATS)
    return ShownTable(name, spec.title, with_code(spec.caption), groups, differences, Markup(notes(printed)), links)


def selectors(plan: Plan) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return what the page can be narrowed to: key, its label, and its names where there are several."""
    targets = [target for run in plan.runs for target in run.targets]
    names: dict[str, tuple[str, list[str]]] = {
        "dataset": ("Data set", [run.dataset for run in plan.runs]),
        "evaluation": ("Evaluation", [target.evaluation for target in targets]),
        "part": ("Features", [part for target in targets for part in target.parts]),
        "augmentation": ("Pretrained with", [run.augmentation for run in plan.runs if run.trains]),
        "group": ("Arms", [run.group for run in plan.runs]),
    }
    labels = {str(name): label for name, label in GROUPS.items()}
    found = []
    for key, (label, own) in names.items():
        texts = [(name, labels[name] if key == "group" else plan.label(key, name)) for name in dict.fromkeys(own)]
        found += [(key, label, texts)] if len(texts) > 1 else []
    return found


def described(plan: Plan) -> dict[str, PlannedFigure | PlannedPicture]:
    """Return caption and alternative text of the suite's figures, then of its pictures, by name."""
    return {**plan.figures, **{picture.name: picture for picture in plan.pictures}}


def seeds_text(plan: Plan) -> str:
    """Return how many seeds the arms have that figures show: ``n = 5 seeds per arm``."""
    counts = Counter(run.arm for run in plan.shown if run.trains)
    ends = sorted(set(counts.values()))
    spread = " to ".join(dict.fromkeys(map(str, (ends[0], ends[-1])))) if ends else "0"
    return f"n = {spread} seed{'' if spread == '1' else 's'} per arm."


def _figures(plan: Plan, results: Path) -> list[ShownFigure]:
    """Return the figures in the order of the suite, each with its view of differences where that has anything.

    A snapshot has no pictures.
    """
    seeds, compares = seeds_text(plan), any(run.baseline for run in plan.shown)
    left_out = {picture.name for picture in plan.pictures} if (results / KEPT).exists() else set()
    shown = {name: words for name, words in described(plan).items() if name not in left_out}
    made = {name: _figure(name, words, results, seeds) for name, words in shown.items()}
    views = {name: made.pop(f"{name}{DIFFERENCES}", None) for name in list(made) if not name.endswith(DIFFERENCES)}
    return [figure._replace(differences=views.get(name) if compares else None) for name, figure in made.items()]


def _figure(name: str, words: PlannedFigure | PlannedPicture, results: Path, seeds: str) -> ShownFigure:
    """Return a figure: its SVG where there is one, else its PNG."""
    vector, path = (results / "figures" / f"{name}.{end}" for end in ("svg", "png"))
    picture = isinstance(words, PlannedPicture)
    svg = "" if picture or not vector.exists() else _told(vector.read_text(encoding="utf-8"), words.alt)
    png = base64.b64encode(path.read_bytes()).decode() if path.exists() and not svg else ""
    uri = f"data:image/png;base64,{png}" if png else None
    formats = {key: end for key, end in FIGURE_FORMATS.items() if end != "svg" or not picture}
    table = "" if isinstance(words, PlannedPicture) else words.table
    links = _there(results, [(f"{table}.csv", f"tables/{table}.csv")] * bool(table))
    links += _links(results, "figures", name, formats)
    code = f"ddcl/pictures/{words.drawing}.py" if isinstance(words, PlannedPicture) else code_of(name)
    caption = with_code(words.caption if picture else f"{words.caption} {seeds}")
    return ShownFigure(name, caption, words.alt, Markup(svg), uri, links, code)


def _told(svg: str, alt: str) -> str:
    """Return an <svg> that says what it shows."""
    return svg.replace("<svg ", f'<svg class="figure" role="img" aria-label="{escape(alt)}" ', 1)


def _links(results: Path, folder: str, name: str, formats: dict[str, str]) -> Links:
    return _there(results, [(label, f"{folder}/{name}.{end}") for label, end in formats.items()])


def _there(results: Path, files: Links) -> Links:
    """Return links from the page to those of these files that are there."""
    return [(text, f"../{name}") for text, name in files if (results / name).is_file()]


def _published(plan: Plan, printed: dict[str, Printed]) -> list[PublishedNumber]:
    """Return the rows of config/published.csv that numbers of the tables come from."""
    cells = (cell for table in printed.values() for _, row in table.rows for cell in row)
    used = {source for cell in cells for source in cell.sources}
    return [number for number in plan.published if number.place in used]


def _downloads(found: Collected, specs: dict[str, TableSpec]) -> list[tuple[str, Links]]:
    """Return named groups of links to the files that are there; those of the claims where the suite has any."""
    results = found.results
    listed = [(spec.title, _links(results, "tables", name, TABLE_FORMATS)) for name, spec in specs.items()]
    if found.plan.claims:
        for title, names in (("Claims", FILES), ("Numbers as LaTeX commands", (MACROS,))):
            listed.append((title, _there(results, [(name, f"tables/{name}") for name in names])))
    listed += [(f"Figure {name}", _links(results, "figures", name, FIGURE_FORMATS)) for name in described(found.plan)]
    files = ("records.parquet", "histories.parquet", "runs.json", "suite.json")
    listed.append(("Everything that the page is made of", _there(results, [(name, name) for name in files])))
    return [(title, links) for title, links in listed if links]
