"""One site of several suites: an index of claims by suite, and their pages; refused before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ddcl.base.errors import UserError
from ddcl.plan.plan import write_plan
from ddcl.report.exchange.site import write_site
from ddcl.report.page.write import write_page
from tests.unit import pages, synthetic


def suite(folder: Path, title: str) -> Path:
    """Results of a suite with claims, and its page."""
    plan = synthetic.suite(title=title)
    found = pages.with_claims(pages.results(folder, plan, synthetic.records(plan)))
    write_plan(found.plan, folder)
    pages.with_claims(found)
    write_page(found, folder / "report" / "index.html")
    return folder


def test_the_index_has_a_column_for_each_suite_and_leads_to_its_claims(tmp_path: Path) -> None:
    sources = [suite(tmp_path / name, f"Suite {name}") for name in ("one", "two")]
    index = write_site(sources, tmp_path / "site")
    html = index.read_text(encoding="utf-8")
    assert html.count('<th scope="col"') == 3
    links = re.findall(r'href="([^"#]+)(#[\w-]+)?"', html)
    assert ("two/report/index.html", "#claim-C4") in links
    for address, anchor in links:
        text = (index.parent / address).read_text(encoding="utf-8")
        assert not anchor or f'id="{anchor[1:]}"' in text
    assert "C1" in html
    assert "nothing is ranked" in re.sub(r"\s+", " ", html)
    assert write_site(sources[:1], tmp_path / "site") == index  # made again


def test_every_link_of_a_card_leads_to_a_page_of_the_site_that_leads_back(tmp_path: Path) -> None:
    site = write_site([suite(tmp_path / "one", "One")], tmp_path / "site").parent
    page = site / "one" / "report" / "index.html"
    runs = re.findall(r'href="\.\./(runs/[^"]+)/"', page.read_text(encoding="utf-8"))
    assert len(runs) == 10
    for run in runs:
        own = site / "one" / run / "index.html"
        for address, anchor in re.findall(r'href="([^"#]+)(#[\w-]+)?"', own.read_text(encoding="utf-8")):
            text = (own.parent / address).read_text(encoding="utf-8")
            assert not anchor or f'id="{anchor[1:]}"' in text
        assert (own.parent / "config.json").exists()


def test_a_site_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    own, out = suite(tmp_path / "one", "One"), tmp_path / "site"
    (tmp_path / "bare").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("a")
    for sources, folder, words in (
        ([own, tmp_path / "bare"], out, "has no report/index.html; `ddcl report` makes it"),
        ([own, own], out, "two of the sources have this name"),
        ([own, tmp_path / "nothing"], out, "there is no such folder or archive"),
        ([own], tmp_path / "other", "has files that `ddcl site` did not make"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            write_site(sources, folder)
    assert not out.exists()
