"""The page of made-up results, opened in one browser for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ddcl.report.figures import registry
from ddcl.report.figures.layout import write_figure
from ddcl.report.page.write import write_page
from ddcl.report.tables.build import build_table
from ddcl.report.tables.html import write_table_page
from ddcl.report.tables.printing import layout
from tests.browser.browser import Browser, chromium, why_not
from tests.unit import made_up, pages, synthetic

TABLES = ("robustness", "augmentation", "convergence")
SUITES = ("digits", "cifar10")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of made-up results, with claims and with runs that did not end well."""
    figures = synthetic.figures(["knn_curves", "parts"])
    plan = synthetic.suite(tables=TABLES, figures=figures, title="A suite of five arms")
    found = pages.with_claims(pages.results(tmp_path_factory.mktemp("results"), plan, synthetic.records(plan)))
    pages.end(found, 0, "collapsed", "effective rank 1.20 is below 2.0")
    lost = (found.records["variant"] == "simsiam") & (found.records["seed"] == 1)
    found.records.loc[lost, ["value", "status"]] = [np.nan, "missing"]
    for name in plan.figures:
        write_figure(registry.draw(name, found), found.results / "figures" / name, found.plan)
    out = found.results / "report" / "index.html"
    write_page(found, out)
    spec = found.spec("robustness")
    frame = build_table(found.records, found.histories, plan, spec, other_code=found.other_code)
    write_table_page(layout(frame, spec, plan), spec, found.results / "tables" / "robustness.html")
    return out


@pytest.fixture(scope="session", params=SUITES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a suite of the project, with made-up records of every cell that it plans."""
    if why_not():
        pytest.skip(why_not())
    found = made_up.collected(request.param, tmp_path_factory.mktemp(request.param))
    made_up.write_recipes(request.param, found.results)
    for name in found.plan.figures:  # with all of them, the page is as large as it gets
        write_figure(registry.draw(name, found), found.results / "figures" / name, found.plan)
    out = found.results / "report" / "index.html"
    write_page(found, out)
    return out


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    if why_not():
        pytest.skip(why_not())
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(running: Browser, page: Path) -> Browser:
    """The page, freshly opened."""
    running.open(page)
    return running
