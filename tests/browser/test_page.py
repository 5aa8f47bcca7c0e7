"""The report page in a real browser: sorting, filtering, run cards, keyboard, and without its script."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.waiting import until

pytestmark = pytest.mark.browser


def column(browser: Browser, table: str, number: int, block: str = "") -> list[str]:
    """The texts of a column of a table, or of one of its blocks, without headings, of rows that are shown only."""
    script = """return [...document.querySelectorAll(`${arguments[0]} tbody${arguments[2]} tr:not(.block)`)]
      .filter(shown).map(row => row.cells[arguments[1]].innerText.trim())"""
    return list(browser.js(script, table, number, block))


FIRST = ":first-of-type"  # block of a table
ROBUSTNESS = "[aria-labelledby=table-robustness]"


def test_a_click_sorts_by_number_and_a_third_click_restores(browser: Browser) -> None:
    before = column(browser, ROBUSTNESS, 3, FIRST)
    button = browser.all(f"{ROBUSTNESS} th .sort")[3]
    head = browser.all(f"{ROBUSTNESS} thead th")[3]

    def values(texts: list[str]) -> list[float]:
        return [float(text.split()[0]) for text in texts if text[0].isdigit()]

    browser.js("document.querySelector('#lv-robustness').click()")
    before = column(browser, ROBUSTNESS, 3, FIRST)
    button.click()
    rising = column(browser, ROBUSTNESS, 3, FIRST)
    assert head.get_attribute("aria-sort") == "ascending"
    assert values(rising) == sorted(values(before)) != values(before)
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert values(column(browser, ROBUSTNESS, 3, FIRST)) == sorted(values(before), reverse=True)
    button.click()
    assert head.get_attribute("aria-sort") is None
    assert column(browser, ROBUSTNESS, 3, FIRST) == before


def test_what_has_no_value_comes_last_in_both_directions(browser: Browser) -> None:
    at = [head.text.split("\n")[0] for head in browser.all("[aria-labelledby=runs] th")].index("status")
    assert at == 4
    table = "[aria-labelledby=table-augmentation]"
    widths = len(browser.all(f"{table} thead th"))
    for number in range(widths):
        button = browser.all(f"{table} th .sort")[number]
        for _ in range(2):
            button.click()
            empty = [text in ("–", "…") for text in column(browser, table, number, FIRST)]
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
    until(lambda: not browser.all("dialog article"), seconds=5)
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
    browser.resize((1440, 900))
    assert browser.js("return document.querySelector('.claims').getBoundingClientRect().bottom < innerHeight")
    claim = browser.find("#claim-C4")
    assert claim.get_attribute("open") is None
    browser.js("arguments[0].focus()", browser.find("#claim-C4 summary"))
    press(browser, "Enter")
    assert claim.get_attribute("open") is not None
    browser.js("document.querySelector('#claim-C4 .comparisons').open = true")
    browser.find("#claim-C4 .grid a.from").click()
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
    assert browser.all("button, input:not([type=radio]), dialog, [aria-sort]") == []
    assert not browser.find("form.selectors").is_displayed()
    plain = browser.js("return document.querySelector('main').textContent.replace(/\\s+/g, ' ')")
    for added in ("Filter rows ", "Copy"):
        words = words.replace(added, "")
    assert words.split() == plain.split()
    assert browser.find("[aria-labelledby=table-robustness] td").is_displayed()
    link = browser.find(f"{ROBUSTNESS} a.from")
    browser.driver.get(page.as_uri() + "#" + link.get_attribute("href").partition("#")[2])
    assert browser.find(":target").is_displayed()
