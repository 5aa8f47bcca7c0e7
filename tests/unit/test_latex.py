"""The LaTeX tables compile, with the packages that they name, and none of them runs off its page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ddcl.render import render_tables
from ddcl.report.claims.claim_tables import write_claims
from ddcl.report.collect import collect
from ddcl.report.tables.differences import NOTE
from ddcl.report.tables.latex import tex_escape, to_latex
from ddcl.report.tables.printing import MARKS, Cell, Printed
from ddcl.schema.tables import TableSpec
from tests.unit import made_up, synthetic, written

SPEC = TableSpec(title="t", caption="c", kind="cells", rows=["variant"], columns=["metric"], print=["top1"])
NEEDED = pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="NOT TESTED: no pdflatex (Debian: texlive-latex-base texlive-latex-recommended)",
)


def table(rows: int, columns: int) -> str:
    cells = [Cell("82.2 ± 0.3 †")] * columns
    printed = Printed(["variant"], ["a long header"] * columns, [([f"variant {i}"], cells) for i in range(rows)], [])
    return to_latex(printed, SPEC, "name")


def rows_of(text: str) -> list[int]:
    """The rows in each float."""
    return [len(re.findall(r"variant \d+ &", piece)) for piece in text.split(r"\end{tabular}")[:-1]]


def test_a_long_table_goes_on_in_floats_about_as_long_under_the_same_number() -> None:
    text = table(rows=100, columns=1)
    assert rows_of(text) == [34, 33, 33]
    assert text.count(r"\label{tab:name}") == 1
    assert text.count(r"\addtocounter{table}{-1}\caption{t (continued)}") == 2
    assert text.count(r"\toprule") == 3
    assert re.findall(r"variant (\d+) &", text) == [str(i) for i in range(100)]
    assert rows_of(table(rows=25, columns=12)) == [13, 12]  # on their side, and no page for a row alone


def test_a_piece_ends_with_its_block_where_one_ends_nearby() -> None:
    cells = [Cell("1.0")]
    rows = [([f"block {i // 28}", f"variant {i}"], cells) for i in range(60)]
    text = to_latex(Printed(["augmentation", "variant"], ["a"], rows, []), SPEC, "name")
    assert rows_of(text) == [28, 32]


def test_a_table_is_as_wide_as_a_column_a_page_or_lies_on_its_side() -> None:
    assert r"\begin{table}" in table(rows=3, columns=1)
    assert r"\begin{table*}" in table(rows=3, columns=5)
    assert r"\begin{sidewaystable*}" in table(rows=3, columns=12)


def test_a_caption_is_short_and_the_protocol_a_comment() -> None:
    spec = SPEC.model_copy(update={"title": "T", "caption": "First sentence. Second one, of e.g. details."})
    printed = Printed(["variant"], ["a"], [(["v"], [Cell("1.0")])], [NOTE])
    text = to_latex(printed, spec, "name")
    assert r"\caption{T. First sentence. $\uparrow$ better, $\downarrow$ worse than the baseline" in text
    assert "% First sentence. Second one, of e.g. details." in text


def compiled(document: Path) -> str:
    """Compile a document; return the log."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", document.name]
    done = subprocess.run(command, cwd=document.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    return document.with_suffix(".log").read_text(errors="replace")


@NEEDED
@pytest.mark.slow
def test_all_tables_of_a_suite_compile_and_fit(tmp_path: Path) -> None:
    plan, results = written.plan(), tmp_path / "results"
    written.write_results(plan, results)
    # what ended badly has its marks in the tables, too
    (results / synthetic.record_of(plan, "imagenet100/ddcl/baug/seed0", "linear")).unlink()
    assert len(collect(plan, results, partial=True).problems) == 1
    render_tables([], results)
    tables = sorted((results / "tables").glob("*.tex"))
    assert len(tables) == len(plan.tables)
    packages = set(re.findall(r"% needs \\usepackage\{(.*)\}", "".join(path.read_text() for path in tables)))
    assert packages == {"array,booktabs,graphicx,rotating"}
    body = "".join(rf"\input{{{path}}}\clearpage" + "\n" for path in tables)
    labels = (metric.label for metric in synthetic.metrics().values())
    marks = " ".join(tex_escape(text) for text in (*(mark for mark, _ in MARKS.values()), *labels))
    document = tmp_path / "all.tex"
    write_claims(made_up.claims(), results / "tables")
    body += rf"\input{{{results / 'tables' / 'claims.tex'}}}"
    package = packages.pop()
    for options in ("", "[twocolumn]"):
        head = rf"\documentclass{options}{{article}}\usepackage[utf8]{{inputenc}}\usepackage{{{package}}}"
        document.write_text(f"{head}\\begin{{document}}\n{body}{marks}\n\\end{{document}}\n", encoding="utf-8")
        log = compiled(document)
        assert "Overfull" not in log
        assert "Float too large" not in log
        assert not re.search("undefined|multiply", log.replace("There were undefined references", ""))
