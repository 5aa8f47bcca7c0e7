"""Whatever a name or a note says, in LaTeX, Markdown, CSV and a figure it is a text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from ddcl.report.figures.layout import STYLE, write_figure
from ddcl.report.tables.csv_files import csv_text, read_csv
from ddcl.report.tables.latex import tex_escape, to_latex
from ddcl.report.tables.printing import Cell, Printed, markdown_escape, to_markdown
from ddcl.schema.tables import TableSpec
from tests.unit.test_latex import NEEDED

HOSTILE = [
    "two\nlines\n\nand a paragraph",
    r"\input{/etc/passwd}",
    r"\end{tabular}",
    "<img src=x onerror=alert(1)>",
    "[1cm] after a row",
    "*",
    "![a picture](http://example.org/x.png)",
    "a | b",
    "$x^",
    "100 % & #1 ~ {",
    "=1+1",
    "+1",
    "-1+cmd",
    "@SUM(A1)",
    "'quoted",
    "\tx",
    "\x1b[31m\x00",
]


def printed(text: str) -> tuple[Printed, TableSpec]:
    spec = TableSpec(title="t", caption="c", kind="cells", rows=["variant"], columns=["metric"], print=["top1"])
    spec = spec.model_copy(update={"title": text, "caption": text})  # as if config/ had not refused it
    return Printed(["variant"], [text], [(["plain"], [Cell("1.0")]), ([text], [Cell("2.0")])], []), spec


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_has_one_table_and_no_html_or_link(text: str) -> None:
    lines = to_markdown(*printed(text)).splitlines()
    assert len(lines) == 8  # title, caption, header, rule, two rows, empty lines between
    assert not re.search(r"<|(?<!\\)\[", "".join(lines))
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines[4:]] == [3, 3, 3, 3]


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_command_of_a_name(text: str) -> None:
    own = to_latex(*printed("harmless"), "name").count("\n")
    assert to_latex(*printed(text), "name").count("\n") == own
    escaped = tex_escape(text)
    assert not re.search(r"\\(input|end)|[\n\x00\x1b]|(?<!\\)[%&#$]", escaped)
    assert not escaped.startswith(("[", "*"))


@NEEDED
@pytest.mark.slow
def test_latex_of_hostile_names_compiles(tmp_path: Path) -> None:
    body = "".join(to_latex(*printed(text), f"n{number}") for number, text in enumerate(HOSTILE))
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{array,booktabs,graphicx,rotating}"
    (tmp_path / "all.tex").write_text(f"{head}\\begin{{document}}\n{body}\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_spreadsheet_finds_no_formula_and_the_reader_the_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"note": [text for text in HOSTILE if "\x00" not in text]})
    frame["mean"] = -1.5
    (tmp_path / "t.csv").write_text(csv_text(frame, "%.4f"), newline="")
    raw = pd.read_csv(tmp_path / "t.csv", dtype=str)
    assert not any(text[0] in "=+-@\t\r" for text in raw["note"])
    assert set(raw["mean"]) == {"-1.5000"}
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv"), frame)


def test_a_label_with_a_dollar_is_drawn(tmp_path: Path) -> None:
    with rc_context(STYLE):
        figure = Figure()
        figure.add_subplot().set_title("$x^ $\\input{x}$ & co_")
        write_figure(figure, tmp_path / "f")
    assert (tmp_path / "f.png").stat().st_size


def test_a_long_text_keeps_its_words() -> None:
    assert markdown_escape(" SimSiam & co_  (`x`) ") == "SimSiam & co_ (`x`)"
