"""One site of several suites: an index of claims by suite, and their pages; refused before anything is written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.plan.plan import PAGE, read_plan, write_plan
from ddcl.plan.suite import Suite
from ddcl.render import render_claims, render_page
from ddcl.report.collect import collect
from ddcl.report.exchange.archive import export
from ddcl.report.exchange.site import write_site
from ddcl.schema.claims import JUDGED
from tests.unit import pages, written

SUITE = {
    **{name: written.SUITE[name] for name in ("suite", "description", "draws", "random_subsets")},
    "runs": [written.BLOCK | {"perturbations": ["none", "color", "color_rotate"], "seeds": [0, 1, 2]}],
    "claims": ["C2", "C4"],
    "figures": ["robustness"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a suite with claims, and its page."""
    results = tmp_path_factory.mktemp("made")
    plan = Suite(SUITE | {"title": "One"}, "t.yaml").plan
    written.write_results(plan, results, images=40)
    collect(plan, results, partial=True)
    (results / "figures").mkdir()
    (results / "figures" / "robustness.png").write_bytes(pages.PNG)
    render_claims(results)
    for name in plan.made():
        if name != PAGE and not (results / name).exists():
            write_text(results / name, name)
    render_page(results)
    return results


@pytest.fixture
def suite(made: Path) -> Callable[[Path], Path]:
    """Copies the results to a folder."""
    return lambda folder: shutil.copytree(made, folder)


def test_the_index_has_a_column_for_each_suite_and_leads_to_its_claims(
    suite: Callable[[Path], Path], tmp_path: Path
) -> None:
    sources = [suite(tmp_path / name) for name in ("one", "two")]
    index = write_site(sources, tmp_path / "site")
    html = index.read_text(encoding="utf-8")
    assert html.count('<th scope="col"') == 3
    links = re.findall(r'href="([^"#]+)(#[\w-]+)?"', html)
    assert ("two/report/index.html", "#claim-C4") in links
    for address, anchor in links:
        text = (index.parent / address).read_text(encoding="utf-8")
        assert not anchor or f'id="{anchor[1:]}"' in text
    assert "C2" in html
    assert "nothing is ranked" in re.sub(r"\s+", " ", html)
    assert write_site(sources[:1], tmp_path / "site") == index  # made again, and the other suite is gone
    assert {path.name for path in index.parent.iterdir()} == {"index.html", ".ddcl-site", "one"}


def test_an_archive_is_a_source(suite: Callable[[Path], Path], tmp_path: Path) -> None:
    export(suite(tmp_path / "one"), tmp_path / "packed.zip", checkpoints=False)
    site = write_site([tmp_path / "packed.zip"], tmp_path / "site").parent
    for name in (PAGE, f"tables/{JUDGED}", "figures/robustness.png", "records.parquet"):
        assert (site / "packed" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_every_link_of_a_card_leads_to_a_page_of_the_site_that_leads_back(
    suite: Callable[[Path], Path], tmp_path: Path
) -> None:
    site = write_site([suite(tmp_path / "one")], tmp_path / "site").parent
    page = site / "one" / "report" / "index.html"
    runs = re.findall(r'href="\.\./(runs/[^"]+)/"', page.read_text(encoding="utf-8"))
    assert len(runs) == len(read_plan(site / "one").runs) > 3
    for run in runs:
        own = site / "one" / run / "index.html"
        for address, anchor in re.findall(r'href="([^"#]+)(#[\w-]+)?"', own.read_text(encoding="utf-8")):
            text = (own.parent / address).read_text(encoding="utf-8")
            assert not anchor or f'id="{anchor[1:]}"' in text
        assert (own.parent / "config.json").exists()


def test_a_site_is_refused_before_anything_is_written(suite: Callable[[Path], Path], tmp_path: Path) -> None:
    own, out = suite(tmp_path / "one"), tmp_path / "site"
    (tmp_path / "bare").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("a")
    for sources, folder, words in (
        ([own, tmp_path / "bare"], out, "has no report/index.html; `ddcl report` makes it"),
        ([own, own], out, "two of the sources have this name"),
        ([own, tmp_path / "nothing"], out, "there is no such folder or archive"),
        ([own], tmp_path / "other", "has files that `ddcl site` did not make"),
        ([own], tmp_path, "has files that `ddcl site` did not make"),
        ([own], own / "site", "must not contain"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            write_site(sources, folder)
    assert not out.exists()


def test_a_site_deletes_no_source_and_nothing_that_others_put_there(
    suite: Callable[[Path], Path], tmp_path: Path
) -> None:
    own, out = suite(tmp_path / "one"), tmp_path / "site"
    write_site([own], out)
    (out / "two").mkdir()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for source, words in ((out / "one", "must not contain"), (suite(tmp_path / "two"), "did not make it")):
        with pytest.raises(UserError, match=words):
            write_site([own, source], out)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_verdicts_of_another_suite_are_refused(suite: Callable[[Path], Path], tmp_path: Path) -> None:
    own = suite(tmp_path / "one")
    plan = Suite(SUITE | {"title": "Another"}, "t.yaml").plan
    other = suite(tmp_path / "two")
    write_plan(plan, other)
    collect(plan, other, partial=True)
    render_claims(other)
    shutil.copyfile(other / "tables" / JUDGED, own / "tables" / JUDGED)
    with pytest.raises(UserError, match="run `ddcl claims` again"):
        write_site([own], tmp_path / "site")
