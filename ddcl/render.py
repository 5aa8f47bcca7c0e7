"""The report stage: reads the collected files and writes one table, one figure or the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ddcl.base.errors import check_name
from ddcl.plan.plan import DICTIONARY, PAGE
from ddcl.report.collected import Collected
from ddcl.schema.claims import FRAMES


def render_tables(names: Sequence[str], results: Path) -> None:
    """Write `results`/tables/NAME.{csv,md,tex,html} for each of `names`; none: all tables of the suite."""
    from ddcl.report.tables.build import build_table
    from ddcl.report.tables.cells import expected_cells
    from ddcl.report.tables.html import write_table_page
    from ddcl.report.tables.printing import layout, write_table

    found = Collected.load(results)
    specs = {name: found.spec(name) for name in names or found.plan.tables}
    cells = expected_cells(found.records, found.plan)
    for name, spec in specs.items():
        frame = build_table(found.records, found.histories, found.plan, spec, cells, found.other_code)
        stem = results / "tables" / name
        write_table(frame, spec, found.plan, stem)
        write_table_page(layout(frame, spec, found.plan), spec, stem.with_suffix(".html"))


def render_claims(results: Path) -> dict[str, str]:
    """Judge the claims; write claims.json and what is made of it to `results`/tables; return each claim's verdict."""
    from ddcl.base.files import write_text
    from ddcl.report.claims.claim_tables import write_claims
    from ddcl.report.claims.judge import judge_claims
    from ddcl.report.claims.judged import write_judged
    from ddcl.report.claims.macros import macros

    found = Collected.load(results)
    claims = judge_claims(found)
    write_judged(claims, found)
    write_claims(claims, results / "tables")
    write_text(results / "tables" / "macros.tex", macros(found, claims))
    return {claim.name: claim.verdict for claim in claims}


def render_tuning(results: Path) -> dict[str, str]:
    """Write the scores of a tuning suite's settings and its choice to `results`/tables; return the choice, as text."""
    from ddcl.report.tables.tuning import choose, scores, write_choice

    found = Collected.load(results)
    frame = scores(found)
    tuned = choose(found, frame)
    write_choice(tuned, frame, results / "tables")
    return {name: choice.text for name, choice in tuned.choices.items()}


def render_figure(name: str, results: Path) -> None:
    """Write `results`/figures/`name`.{png,pdf,svg}."""
    from ddcl.report.figures.layout import write_figure
    from ddcl.report.figures.registry import FIGURES, draw

    check_name("figure", name, FIGURES, "ddcl figure")
    found = Collected.load(results)
    write_figure(draw(name, found), results / "figures" / name, found.plan)


def render_page(results: Path) -> Path:
    """Write `results`/report/index.html and what the columns of its tables mean; return the path of the page."""
    from ddcl.base.files import write_text
    from ddcl.report.page.write import write_page
    from ddcl.report.tables.csv_files import columns_of
    from ddcl.report.tables.dictionary import dictionary

    found, out = Collected.load(results), results / PAGE
    write_page(found, out)
    names = [*found.plan.tables, *(FRAMES if found.plan.claims else ())]
    files = {f"{name}.csv": columns_of(results / "tables" / f"{name}.csv") for name in names}
    write_text(results / "tables" / DICTIONARY, dictionary(files))
    return out
