"""What the page is made of: cells, claims, values of seeds, curves, recipes beside the paper's, BibTeX."""

from __future__ import annotations

import re
from math import inf, nan
from typing import Any

import numpy as np
import pandas as pd

from ddcl.report.claims.judged import JudgedCheck
from ddcl.report.claims.verdicts import of_check
from ddcl.report.numbers import amount, decimals, interval, minus, plain, probability
from ddcl.report.page.bars import Line, bar
from ddcl.report.page.cards import value_text
from ddcl.report.page.citation import bibtex
from ddcl.report.page.claim_details import Page, details
from ddcl.report.page.claim_rows import GLYPHS, MEANINGS, needed, reached, why_missing
from ddcl.report.page.curves import curves
from ddcl.report.page.deviations import settings
from ddcl.report.tables.html import Place, notes, to_html, with_code
from ddcl.report.tables.printing import Cell, Printed
from ddcl.schema.paper import paper_recipe
from ddcl.schema.recipes import build_recipe
from tests.unit import pages, synthetic


def test_numbers_are_never_finer_than_their_interval_nor_minus_zero() -> None:
    assert [decimals(half) for half in (12, 10, 3, 0.3, 0.1, 0.015, nan)] == [0, 0, 1, 1, 2, 3, 2]
    assert interval(-1.04, -13.2, 11.1, 1.0) == ("−1", "−13 to +11")
    assert interval(0.34, -2.26, 2.94, 1.0) == ("+0.3", "−2.3 to +2.9")
    assert interval(-0.04, -2.0, 1.92, 1.0) == ("0.0", "−2.0 to +1.9")
    assert interval(0.05, 0.0499, 0.0501, 0.1) == ("+0.050", "+0.050 to +0.050")  # no finer than matters
    assert interval(1.5, nan, nan, 1.0) == ("+1.5", "")
    assert interval(nan, nan, nan, 1.0) == ("–", "")


def test_counts_and_hyphens() -> None:
    assert [plain(value) for value in (0, 2.0, 0.0123456, 12345.6, 1.25, inf, nan)] == [
        *("0", "2", "0.0123", "12,346", "1.25", "∞", "–"),
    ]
    assert [amount(1.0, "points"), amount(1.4, "points"), amount(0.05, "R²")] == ["1 point", "1.4 points", "0.05 R²"]
    assert minus("from -0.74 to 3-4, b-2") == "from −0.74 to 3-4, b-2"
    assert [probability(p) for p in (0.0001, 0.0123, 0.5, 0.999, nan)] == ["< 0.001", "0.012", "0.50", "> 0.99", "–"]


def check_of(**found: Any) -> JudgedCheck:
    return pages.judged("C1", "inconclusive", "", "", **found).forms[0].headline


def test_what_an_undecided_check_would_need() -> None:
    needs = "To find 0.3 points, the smallest effect that matters, takes "
    assert needed(check_of(seeds_needed=inf)) == f"{needs}more test images."
    assert needed(check_of(seeds_needed=40.0)) == f"{needs}40 seeds per arm."
    assert needed(check_of()) == ""


def test_half_of_the_interval_stands_beside_what_was_planned() -> None:
    assert reached(check_of(ci_low=-1.0, ci_high=1.5)) == ""
    planned = "Half of the interval was planned as 1.5 points"
    assert reached(check_of(ci_low=-1.0, ci_high=1.4, planned_half_width=1.5)) == f"{planned}, and is 1.2."
    assert reached(check_of(planned_half_width=1.5)) == f"{planned}."


def test_why_there_is_no_interval_is_said() -> None:
    assert why_missing(check_of(effect=0.2, ci_low=-1.0, ci_high=1.0, n_seeds=3)) == ""
    assert why_missing(check_of(effect=0.2, n_seeds=2)) == "no interval: fewer than three seeds"
    assert why_missing(check_of(effect=0.0, n_seeds=5)) == "no interval: all seeds alike"


def test_the_legend_of_inconclusive_does_not_contradict_the_rule() -> None:
    """A check whose interval lies above 0 is inconclusive, too, where one of its comparisons says the opposite."""
    assert of_check("supported", ["contradicted"]) == "inconclusive"
    assert "0" not in MEANINGS["inconclusive"]
    assert "one of its comparisons says the opposite" in MEANINGS["inconclusive"]
    assert set(MEANINGS) == set(GLYPHS)


def test_a_bar_without_an_interval_is_hollow_and_dotted_and_one_beyond_the_scale_has_an_arrow() -> None:
    alone = bar([Line("ddcl", 0.2, nan, nan, 1.0)], None, 1.0, 100, "words")
    assert "hollow" in alone
    assert "dotted" in alone
    assert 'class="ci"' not in alone
    far = bar([Line("ddcl", 0.0, -500.0, 500.0, 1.0)], None, 1.0, 100, "words")
    assert far.count('class="arrow"') == 2
    assert 'class="arrow"' not in bar([Line("ddcl", 0.0, -5.0, 5.0, 1.0)], None, 1.0, 100, "words")


def test_comparisons_are_a_grid_whose_cells_lead_to_their_values() -> None:
    claim = pages.judged_claims()[3]
    opened = details(claim, Page(synthetic.suite(), {"digits/ddcl/baug": "card-b", "digits/ddcl/caug": "card-c"}))
    (gate,) = opened.gates
    assert (gate.sign, gate.label, gate.arm, gate.found) == ("✕", "trained", "DDCL, CAug", "+4.0 points (−1.0 to +9.0)")
    assert gate.needed == "interval above 0"
    assert opened.follows == ["It says nothing."]
    (form,) = opened.checks[0].forms
    whole, parts = form.grids
    assert (whole.caption, parts.caption) == ("DDCL − SimSiam & co_", "DDCL (dvr) − DDCL (full)")
    assert [(label, cells[0].effect) for label, cells in whole.rows if cells[0]] == [("CAug", "+0.3")]
    assert [(label, cells[0].verdict.word) for label, cells in parts.rows if cells[0]] == [("BAug", "contradicted")]
    papers = [cells[0].paper for _, cells in (*whole.rows, *parts.rows) if cells[0]]
    assert papers == ["+0.37", ""]  # table 4 of the paper: DDCL against SimSiam, rotated images after CAug
    marked = ['class="paper"' in cells[0].bar for _, cells in (*whole.rows, *parts.rows) if cells[0]]
    assert (marked, whole.paper, parts.paper) == ([True, False], True, False)


def test_emphasis_and_marks_of_cells() -> None:
    against = {"difference": 0.5, "ci_low": -0.04, "ci_high": 1.2, "p": 0.2, "p_holm": 0.4, "unit": "%"}
    cells = [Cell("1.0", "better", ("a", "b", "c"), against), Cell("2.0"), Cell("3.0 †", "", ("a",)), Cell("<")]
    printed = Printed(["k"], ["a", "b", "c", "d"], [(["x"], cells)], ["a note"])
    html = to_html(printed, Place({"a": "r1", "b": "h1"}, "t-own"))
    assert '<td id="t-own-0-0"><a class="from" href="#r1" data-from="r1 h1"><span class="lv">1.0</span>' in html
    assert '<span class="df"><strong>+0.5</strong> ▲<small>0.0 to +1.2</small><i class="b"' in html
    assert "<td>2.0<" in html
    assert '<td id="t-own-0-2" class="bad"><a class="from" href="#r1">3.0 †</a>' in html
    assert "<td>&lt;<" in html
    assert notes(printed) == '<p class="notes">a note</p>'


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
    assert svg.count("<svg") == 3
    assert svg.count("<polyline") == 3  # a line that never was finite is left out
    key = re.findall(r'<path class="(s\d)"[^>]*/><text[^>]*>(seed \d)</text>', svg)
    assert key == [("s0", "seed 0"), ("s1", "seed 1")]
    assert re.findall(r'<polyline class="(s\d)"[^>]*><title>(seed \d)', svg) == [key[0], key[1], key[0]]
    points = re.findall(r'points="([^"]*)"', svg)
    assert max(len(line.split()) for line in points) == 80
    assert "seed 0 from 0.25 to 0.75" in svg
    assert curves({0: long.iloc[:1]}) == ""


def test_differences_from_the_paper_are_those_of_the_recipe() -> None:
    paper = paper_recipe("ddcl", "caug")
    recipe = build_recipe(("digits", "ddcl_f50", "caug"), 0, {})
    own = {setting.name: setting for setting in settings(recipe, paper)}
    assert own["method.dir_frac"][1:] == ("0.5", "0.8", True)
    assert own["training.epochs"][1:] == (str(recipe.training.epochs), "500", True)
    assert own["training.monitor.every_epochs"][1:] == (str(recipe.training.monitor.every_epochs), "10", False)
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
