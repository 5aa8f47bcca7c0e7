"""What the page is made of: cells, claims, values of seeds, curves, recipes beside the paper's, BibTeX."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ddcl.report.page.cards import value_text
from ddcl.report.page.citation import bibtex
from ddcl.report.page.claim_lines import effect_text, number, read_claims
from ddcl.report.page.curves import curves
from ddcl.report.page.deviations import paper_digest, settings
from ddcl.report.tables.html import to_html, with_code
from ddcl.report.tables.printing import Cell, Printed
from ddcl.schema.recipes import build_recipe
from tests.unit import synthetic


def test_claims_without_comparisons_and_a_verdict_that_nobody_knows(tmp_path: Path) -> None:
    assert read_claims(tmp_path, synthetic.suite(), {}) == []
    (tmp_path / "claims.csv").write_text("claim,verdict,statement\nC9,perhaps,So it is\n")
    (claim,) = read_claims(tmp_path, synthetic.suite(), {})
    assert (claim.verdict.word, claim.verdict.symbol, claim.effect, claim.comparisons) == ("perhaps", "?", "–", [])


def test_numbers_of_claims_have_three_digits() -> None:
    assert number("-0.012345") == "−0.0123"
    assert number("0.006", "+") == "+0.01"
    assert number("-0.001234", "+") == "0.00"
    assert number("0", "+") == "0"
    assert number("12345.6", "+") == "+12,346"
    assert number("2.0") == "2"
    assert number("about 3") == "about 3"
    assert effect_text({"effect": "1.5", "ci_low": "", "unit": "epochs"}) == "+1.50 epochs"


def test_emphasis_and_marks_of_cells() -> None:
    cells = [Cell("1.0", "best", ("a", "b", "c")), Cell("2.0", "tied"), Cell("3.0 †", "", ("a",)), Cell("<")]
    html = to_html(Printed(["k"], ["a", "b", "c", "d"], [(["x"], cells)], ["bold: best"]), {"a": "r1", "b": "h1"})
    assert '<td><a class="from" href="#r1" data-from="r1 h1"><strong>1.0</strong></a></td>' in html
    assert "<td><u>2.0</u></td>" in html
    assert '<td class="bad"><a class="from" href="#r1">3.0 †</a></td>' in html
    assert "<td>&lt;</td>" in html
    assert html.endswith('<p class="notes">bold: best</p>')


def test_backticks_become_code_and_all_else_is_escaped() -> None:
    assert with_code("a `b<c>` & `d`") == "a <code>b&lt;c&gt;</code> &amp; <code>d</code>"


def test_values_of_seeds_keep_their_status() -> None:
    cell, metrics = pd.Series({"value": 0.5, "status": "collapsed"}), synthetic.metrics()
    assert value_text(metrics["top1"], cell) == "50.00 collapsed"
    assert value_text(metrics["top1_k5"], cell) == "50.00 collapsed"
    assert value_text(metrics["effective_rank"], pd.Series({"value": 12.34567, "status": "ok"})) == "12.35"
    assert value_text(metrics["top1"], pd.Series({"value": np.nan, "status": "missing"})) == "missing"
    assert value_text(metrics["top1"], None) == "–"


def test_curves_have_a_line_per_seed_and_few_points() -> None:
    long = pd.DataFrame({"epoch": range(501), "loss": np.linspace(1, -1, 501), "knn_top1": np.nan})
    long.loc[[0, 500], "knn_top1"] = [0.25, 0.75]
    svg = curves({0: long, 1: long.assign(loss=np.inf)})
    assert svg.count("<svg") == 2
    assert svg.count("<polyline") == 3  # a line that never was finite is left out
    points = re.findall(r'points="([^"]*)"', svg)
    assert max(len(line.split()) for line in points) == 80
    assert "seed 0 from 0.25 to 0.75" in svg
    assert curves({0: long.iloc[:1]}) == ""


def test_differences_from_the_paper_are_those_of_the_recipe() -> None:
    own = {setting.name: setting for setting in settings(build_recipe(("digits", "ddcl_f50", "caug"), 0, {}))}
    assert own["method.dir_frac"][1:] == ("0.5", "0.8", True)
    assert own["training.epochs"][1:] == ("24", "500", True)
    assert own["training.monitor.every_epochs"][1:] == ("4", "10", False)
    authors = build_recipe(("imagenet100", "ddcl", "caug"), 3, {}, authors=True)
    assert [setting for setting in settings(authors) if setting.differs] == []
    assert paper_digest({("ddcl", "caug")}) != paper_digest({("ddcl", "baug")})


def test_bibtex_names_the_paper_and_the_suite() -> None:
    entries = bibtex()
    assert "@inproceedings{wang2024," in entries
    assert "author    = {Wang, Jinfeng and Song, Sifan and Su, Jionglong and Zhou, S. Kevin}," in entries
    assert "title     = {{Distortion-Disentangled Contrastive Learning}}," in entries
    assert "author    = {{The DDCL suite authors}}," in entries
    assert entries.count("{") == entries.count("}")
