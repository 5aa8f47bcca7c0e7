"""The page is complete, self-contained, well-formed, and says what is wrong."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ddcl.grid import read_table
from ddcl.report.figures import FIGURES
from ddcl.report.html import to_html
from ddcl.report.page import attention, write_page
from ddcl.report.printing import layout
from ddcl.report.tables import build_table
from tests.unit import synthetic

PLAN = synthetic.suite() | {"tables": ["knn", "linear"], "figures": list(FIGURES)}
PNG = b"\x89PNG not really"
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Checker(HTMLParser):
    """Collects elements; fails where tags are not balanced or an id is given twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def runs_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {key: run[key] for key in ("dataset", "variant", "augmentation", "seed")}
        | {"status": "ok", "message": "", "epochs": 20, "precision": "bf16", "n_parameters": 123456, "seconds": 12.3}
        | {"recipe_digest": "r" * 16, "checkpoint_digest": "c" * 16, "device": "A CPU", "host": "node"}
        | {"versions": {"torch": "2.0", "timm": None}, "git_commit": "f" * 40, "git_dirty": True}
        for run in plan["runs"]
    ]


def render(tmp_path: Path, records: pd.DataFrame, runs: list[dict[str, Any]], plan: dict[str, Any] = PLAN) -> str:
    (tmp_path / "figures").mkdir()
    for name in plan["figures"]:
        (tmp_path / "figures" / f"{name}.png").write_bytes(PNG)
    tables = {}
    for name in plan["tables"]:
        spec = read_table(name)
        frame = build_table(records, synthetic.histories(plan), plan, spec)
        tables[name] = (spec.title, spec.caption, to_html(layout(frame, spec, plan)))
    out = tmp_path / "report" / "index.html"
    write_page(plan, runs, records, tables, tmp_path / "figures", out)
    return out.read_text(encoding="utf-8")


def test_page_is_complete_well_formed_and_self_contained(tmp_path: Path) -> None:
    html = render(tmp_path, synthetic.records(PLAN), runs_of(PLAN))
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    tags = [tag for tag, _ in checker.elements]
    assert tags.count("table") == 3  # two, and the list of runs
    assert tags.count("img") == len(FIGURES)
    assert "script" not in tags
    ids = [attributes["id"] for _, attributes in checker.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for tag, attributes in checker.elements if tag == "a"]
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert all(a["src"].startswith("data:image/png;base64,") and a["alt"] for t, a in checker.elements if t == "img")
    assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(|@import""", html)
    assert "Nothing is missing, failed, collapsed or diverged." in html
    assert "with uncommitted changes" in html
    assert "torch 2.0" in html
    assert "10 of 10 done, 8 of them trained" in html


@pytest.mark.parametrize("status", ["missing", "failed"])
def test_what_is_wrong_is_named(status: str, tmp_path: Path) -> None:
    records, runs = synthetic.records(PLAN), runs_of(PLAN)
    runs[0] |= {"status": "collapsed", "message": "effective rank 1.20 is below 2.0"}
    runs[1] = {key: runs[1][key] for key in ("dataset", "variant", "augmentation", "seed")}
    runs[1] |= {"status": status, "message": "run.json: why"}
    lost = (records["variant"] == "simsiam") & (records["augmentation"] == "caug") & (records["evaluation"] == "knn")
    records.loc[lost & (records["seed"] == 1), ["value", "status"]] = [np.nan, status]
    html = render(tmp_path, records, runs)
    assert "<code>digits/ddcl/baug/seed0</code>: collapsed: effective rank 1.20" in html
    assert f"<code>digits/ddcl/baug/seed1</code>: {status}: run.json: why" in html
    assert f"<code>digits/simsiam/caug/seed1</code>: knn: 2 of its cells {status}" in html
    assert f"3 of {len(runs)} runs need a look" in html


def test_a_run_is_named_once_with_all_that_is_wrong() -> None:
    records, runs = synthetic.records(PLAN), runs_of(PLAN)
    own = (records["variant"] == "ddcl") & (records["augmentation"] == "baug") & (records["seed"] == 0)
    records.loc[own, "status"] = "collapsed"
    records.loc[own & (records["evaluation"] == "linear"), "status"] = "missing"
    runs[0] |= {"status": "collapsed", "message": "rank"}
    assert attention(runs, records) == [
        ("digits/ddcl/baug/seed0", ["collapsed: rank", "linear: 6 of its cells missing"])
    ]


def test_labels_are_escaped(tmp_path: Path) -> None:
    plan = synthetic.suite() | {"tables": ["knn"], "figures": []}
    plan["labels"]["variant"]["ddcl"] = "<script>alert(1)</script>"
    plan["title"] = "A & B <i>"
    html = render(tmp_path, synthetic.records(plan), runs_of(plan), plan)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "A &amp; B &lt;i&gt;" in html


def test_page_is_the_same_every_time(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    pages = {render(tmp_path / name, synthetic.records(PLAN), runs_of(PLAN)) for name in "ab"}
    assert len(pages) == 1
