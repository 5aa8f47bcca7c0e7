"""A headless Chromium, driven by selenium; what it asks of the network and says on its console is kept."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromedriver")
DESKTOP, PHONE = (1280, 800), (360, 740)
# Chromium alone may say of what lies in closed details that it is seen, depending on what it laid out before.
SHOWN = """const shown = element => !element.closest('details:not([open]) > :not(summary)')
  && element.checkVisibility({visibilityProperty: true});
"""


def why_not() -> str:
    """Return what is missing here for these tests; empty if nothing is."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not here: {', '.join(missing)} (Debian's packages chromium and chromium-driver)"
    return "" if find_spec("selenium") else "not here: the Python package selenium"


class Browser:
    """A page in a window. scripts: whether the page's own script runs (the test's always do)."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, anchor: str = "", scripts: bool = True) -> None:
        """Open a file, in a desktop's window."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        self.resize(DESKTOP)
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + anchor)

    def resize(self, size: tuple[int, int]) -> None:
        """Give the page's window a size in pixels, as a phone's where it is narrow."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name: str) -> None:
        """Prefer `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def js(self, script: str, *arguments: Any) -> Any:
        """Return what a function body gives; in it, `shown(element)` says whether a reader sees an element."""
        return self.driver.execute_script(SHOWN + script, *arguments)

    def find(self, selector: str) -> Any:
        """Return the first element of a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        """Return all elements of a CSS selector."""
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def requests(self) -> list[str]:
        """Return every address that was asked for since the last call."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Return what the console says since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it does not start as root with one
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
