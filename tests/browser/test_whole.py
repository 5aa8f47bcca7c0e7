"""The pages of digits and of the real cifar10 suite: nothing overlaps, is cut, is slow, or fails axe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.browser.browser import Browser, chromium, why_not
from tests.waiting import until

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / ".venv/node_modules/axe-core/axe.min.js"  # `npm install --prefix .venv axe-core`
DESKTOP, PHONE = (1440, 900), (390, 844)
OVERLAPS = Path(__file__).with_name("overlaps.js").read_text(encoding="utf-8")
OPEN = "document.querySelectorAll('details').forEach(each => { each.open = true })"
PAINTED = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
CHOOSE = """const field = document.querySelector('form.selectors').elements.augmentation, start = performance.now();
field.value = arguments[0]; field.dispatchEvent(new Event('input', {bubbles: true}));
return performance.now() - start"""


@pytest.fixture
def running() -> Iterator[Browser]:
    """A browser for one test, so that what a test leaves in the memory of so large a page does not end the next."""
    if why_not():
        pytest.skip(why_not())
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(running: Browser, whole: Path) -> Browser:
    """The page of a suite, freshly opened on a desktop."""
    running.open(whole)
    running.resize(DESKTOP)
    running.scheme("light")
    return running


@pytest.mark.parametrize("size", [DESKTOP, (1280, 800), (1024, 768), PHONE])
def test_no_text_lies_on_another(size: tuple[int, int], opened: Browser) -> None:
    opened.resize(size)
    assert opened.js(OVERLAPS) == []
    opened.js("document.querySelectorAll('.claim, .comparisons').forEach(each => { each.open = true })")
    assert opened.js(OVERLAPS) == []


def test_all_claims_are_on_the_first_screen(opened: Browser) -> None:
    assert opened.js("return document.querySelector('.claims').getBoundingClientRect().bottom") < 900
    text = opened.find("main").text
    for words in (
        "trains an image encoder without labels",
        "could have seen differences in accuracy of",
        "the paper reports",
    ):
        assert words in text


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_key_columns_are_on_the_screen(size: tuple[int, int], opened: Browser) -> None:
    """Of every table the method and the first number; it stays there while the table is scrolled."""
    opened.resize(size)
    found: list[list[float]] = opened.js(
        """return [...document.querySelectorAll('.table > .scroll table')].map(table => {
          table.closest('.scroll').scrollLeft = 0;
          const row = table.querySelector('tbody tr:not(.block)'), cell = row.querySelector('td');
          return [row.cells[0].getBoundingClientRect().left, cell.getBoundingClientRect().right, innerWidth] })"""
    )
    assert found
    assert all(left >= 0 and (right <= width or width < 500) for left, right, width in found)
    stuck = opened.js(
        """const box = document.querySelector('.table > .scroll'); box.scrollLeft = 200;
        const cell = box.querySelector('tbody tr:not(.block) th');
        return cell.getBoundingClientRect().left - box.getBoundingClientRect().left"""
    )
    assert abs(stuck) < 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str, opened: Browser) -> None:
    if not AXE.exists():
        pytest.skip("not here: axe-core (npm install --prefix .venv axe-core)")
    opened.scheme(scheme)
    opened.js("document.querySelector('#claim-C4').open = true")
    opened.driver.set_script_timeout(300)
    opened.driver.execute_script(AXE.read_text(encoding="utf-8"))
    found: list[Any] = opened.driver.execute_async_script(
        """const done = arguments[arguments.length - 1];
        axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations.map(
          each => [each.id, each.nodes.length, each.nodes.slice(0, 3).map(node => node.html.slice(0, 160))])))"""
    )
    opened.scheme("light")
    assert found == []


def test_the_page_is_small_and_quick(opened: Browser, whole: Path) -> None:
    assert whole.stat().st_size < 5_000_000
    paints, choices = [], []
    for _ in range(3):
        opened.open(whole)
        until(lambda: opened.js(PAINTED) is not None, seconds=30)
        paints.append(opened.js(PAINTED))
        choices += [opened.js(CHOOSE, name) for name in ("caug", "")]
    print(f"first paint {median(paints):.0f} ms, a choice {median(choices):.0f} ms")
    assert median(paints) < 500
    assert median(choices) < 100


def test_a_choice_narrows_every_table_and_stands_in_the_address(opened: Browser, whole: Path) -> None:
    rows = "return [...document.querySelectorAll('.table tbody tr')].filter(shown).length"
    before = opened.js(rows)
    opened.js(
        """const field = document.querySelector('form.selectors').elements.part; field.value = 'full';
        field.dispatchEvent(new Event('input', {bubbles: true}))"""
    )
    after = opened.js(rows)
    assert 0 < after < before
    address = opened.js("return location.href")
    assert address.endswith("#tables?part=full")
    opened.open(whole, "#tables?part=full")
    assert opened.js(rows) == after
    parts = opened.js(
        """return [...document.querySelectorAll('.table tr[data-part]')].filter(shown)
          .map(row => row.dataset.part)"""
    )
    assert set(parts) == {"full"}


def test_levels_are_behind_a_switch(opened: Browser) -> None:
    count = "return [...document.querySelectorAll('.table .{}')].filter(shown).length"
    assert (opened.js(count.format("df")) > 0, opened.js(count.format("lv"))) == (True, 0)
    opened.js("document.querySelectorAll('.show-lv').forEach(each => each.click())")
    assert (opened.js(count.format("df")), opened.js(count.format("lv")) > 0) == (0, True)


def test_curves_of_cards_have_a_key(opened: Browser) -> None:
    opened.js(OPEN)
    keys = opened.js(
        """return [...document.querySelectorAll('.curves')].filter(each => each.querySelector('polyline'))
          .map(each => each.querySelectorAll('.keys path').length)"""
    )
    assert keys
    assert min(keys) > 1  # a line for each seed


def test_few_tab_stops_lead_through_the_page(opened: Browser) -> None:
    stops = opened.js(
        """return [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
          .filter(each => each.tabIndex >= 0 && shown(each)).length"""
    )
    assert stops < 260


def test_words_are_those_of_readers(opened: Browser) -> None:
    opened.js(OPEN)
    text: str = opened.js("return document.querySelector('main').innerText")
    shown = re.sub(r"results/\S+|ddcl \w+.*|snakemake.*|config/\S+|\S+\.(csv|py|json|tex|md|yaml)", "", text)
    for raw in ("top1_k1", "knn_auc", "random_dir", "−0.0 ", "-0.0"):
        assert raw not in shown.replace("method.random_dir", ""), raw
    assert not re.search(r"(?<![\d.,])1 points\b", shown)
    assert not re.search(r"\(-\d", shown)


def test_print_cuts_nothing(opened: Browser) -> None:
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    opened.resize((1040, 1400))
    cut = opened.js(
        """return [...document.querySelectorAll('main *')].filter(each => {
          const style = getComputedStyle(each);
          return each.checkVisibility() && style.overflowX !== 'visible' && each.scrollWidth > each.clientWidth + 2
            && !each.closest('svg, .hidden') }).map(each => each.className).slice(0, 5)"""
    )
    wide = opened.js("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert cut == []
    assert wide[0] <= wide[1] + 2
