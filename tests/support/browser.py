"""A real Chromium for the tests of pages: what it requests, logs, shows and prints."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

REQUIRED = "BAN_GATE_REQUIRE_BROWSER"
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """One page at a time, in a light or dark scheme, at a width, on screen or on paper."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = 1280, scheme: str = "light") -> None:
        """Loads a page anew; what was requested and logged before is forgotten."""
        self.media(scheme=scheme)
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        self.driver.get("about:blank")
        self.requests(), self.errors()
        self.driver.get(page.as_uri())

    def media(self, kind: str = "", scheme: str = "light") -> None:
        """Shows the page as on `screen` or in `print`, in a colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": kind, "features": features}
        )

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def colour(self, selector: str, kind: str) -> tuple[int, ...]:
        """Red, green and blue, from 0 to 255, of the first element that a selector finds."""
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        shown = self.run(script, selector, kind)
        red, green, blue = shown.removeprefix("rgb(").removesuffix(")").split(",")
        return int(red), int(green), int(blue)

    def requests(self) -> list[str]:
        """The addresses requested since the last call."""
        messages = [json.loads(each["message"])["message"] for each in self._log("performance")]
        sent = [each for each in messages if each["method"] == "Network.requestWillBeSent"]
        return [each["params"]["request"]["url"] for each in sent]

    def errors(self) -> list[str]:
        """What the console was told since the last call."""
        return [each["message"] for each in self._log("browser")]

    def violations(self) -> list[dict[str, Any]]:
        """What axe-core finds wrong with the page."""
        self.run(_axe())
        found: list[dict[str, Any]] = self.driver.execute_async_script(
            "axe.run({resultTypes: ['violations']}).then(found => arguments[0](found.violations))"
        )
        return found

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)
        return entries


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own; the test is skipped where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(
            "needs `chromium` and `chromedriver`: apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options, Service(driver))
    try:
        yield Browser(opened)
    finally:
        opened.quit()


def _axe() -> str:
    """The text of axe-core, which a package for another driver carries."""
    (script,) = (
        each for each in metadata.files("axe-playwright-python") or [] if each.name == "axe.min.js"
    )
    return script.read_text("utf-8")
