"""What the page is made of: cells, claims, values of seeds, curves, recipes beside the paper's, BibTeX."""

from __future__ import annotations

import re
from math import inf, nan

import numpy as np
import pandas as pd

from ddcl.report.page.cards import value_text
from ddcl.report.page.citation import bibtex
from ddcl.report.page.claim_lines import claim_lines, effect_text, n_text, number, power_text
from ddcl.report.page.curves import curves
from ddcl.report.page.deviations import settings
from ddcl.report.tables.html import to_html, with_code
from ddcl.report.tables.printing import Cell, Printed
from ddcl.schema.paper import paper_recipe
from ddcl.schema.recipes import build_recipe
from tests.unit import pages, synthetic


def test_numbers_of_claims_have_three_digits() -> None:
    assert number(-0.012345) == "−0.0123"
    assert number(0.006, "+") == "+0.01"
    assert number(-0.001234, "+") == "0.00"
    assert number(0, "+") == "0"
    assert number(12345.6, "+") == "+12,346"
    assert number(2.0) == "2"
    assert effect_text(1.5, (nan, nan), "epochs") == "+1.50 epochs"
    assert effect_text(1.5, (-1.0, 4.0), "points") == "+1.50 (−1.00 to +4.00) points"
    assert effect_text(nan, (nan, nan), "points") == "–"
    assert n_text({"seeds": 1, "images": 0, "comparisons": 1200}) == "1 seed, 1,200 comparisons"


def test_what_an_undecided_claim_would_need() -> None:
    check = (
        pages.judged("C1", "inconclusive", "", "", minimum_detectable_effect=1.25, seeds_needed=inf).forms[0].headline
    )
    assert power_text(check) == (
        "an effect of 1.25 points or more would probably have been found; "
        "the smallest effect that matters of 0.3 points needs more test images"
    )
    assert power_text(check.model_copy(update={"minimum_detectable_effect": nan, "seeds_needed": nan})) == ""


def test_arms_are_named_by_their_fields_and_lead_to_their_cards() -> None:
    plan = synthetic.suite()
    (line,) = claim_lines(
        pages.judged_claims()[3:4], plan, {"digits/ddcl/baug": "card-b", "digits/ddcl/caug": "card-c"}
    )
    assert [row.arms for row in line.comparisons] == [
        [("DDCL", "card-c"), ("SimSiam & co_", "")],
        [("DDCL (dvr, BAug)", "card-b"), ("DDCL (full, CAug)", "card-c")],
    ]
    (gate,) = line.gates  # of those of the claim, the one that a comparison names
    assert (gate.label, gate.arm, gate.state) == ("trained", "digits/ddcl/caug", "✕ failed")
    assert gate.effect == "+4.00 (−1.00 to +9.00) points, needed above 0"
    assert gate.text == "It says nothing."
    assert line.comparisons[0].conditions == "own, Digits, CAug, linear, color + rotate, full, top1"
    assert line.comparisons[0].p == "p = 0.12 (Holm 0.24)"
    assert line.comparisons[1].n == "2 seeds, 450 images"


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
    paper = paper_recipe("ddcl", "caug")
    recipe = build_recipe(("digits", "ddcl_f50", "caug"), 0, {})
    own = {setting.name: setting for setting in settings(recipe, paper)}
    assert own["method.dir_frac"][1:] == ("0.5", "0.8", True)
    assert own["training.epochs"][1:] == ("48", "500", True)
    assert own["training.monitor.every_epochs"][1:] == ("8", "10", False)
    authors = build_recipe(("imagenet100", "ddcl", "caug"), 3, {}, authors=True)
    assert [setting for setting in settings(authors, paper) if setting.differs] == []
    assert not any(setting.differs or setting.paper for setting in settings(recipe, None))


def test_bibtex_names_the_paper_and_the_suite() -> None:
    entries = bibtex()
    assert "@inproceedings{wang2024," in entries
    assert "author    = {Wang, Jinfeng and Song, Sifan and Su, Jionglong and Zhou, S. Kevin}," in entries
    assert "title     = {{Distortion-Disentangled Contrastive Learning}}," in entries
    assert "author    = {{The DDCL suite authors}}," in entries
    assert entries.count("{") == entries.count("}")
