"""A page is for everyone: in the dark, by ear, by keyboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from tests.support import browser


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", ["backdoored", "clean", "inconclusive", "named"])
def test_axe_finds_no_barrier(
    chromium: browser.Browser, pages: dict[str, Path], name: str, scheme: str
) -> None:
    """With everything unfolded, axe-core has nothing to say against either colour scheme."""
    chromium.open(pages[name], scheme=scheme)
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")

    found = chromium.violations()

    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_axe_would_find_a_barrier(
    chromium: browser.Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    """The check itself can fail: a picture without a text is found."""
    bad = tmp_path / "bad.html"
    bad.write_text(pages["clean"].read_text().replace("</main>", "<img src='data:,'></main>"))

    chromium.open(bad)

    assert "image-alt" in [each["id"] for each in chromium.violations()]


def test_the_schemes_differ_and_charts_are_legible_in_both(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """Labels have a contrast of 4.5 to the card they stand on, bars of 3, in light and in dark."""
    grounds = set()
    for scheme in ("light", "dark"):
        chromium.open(pages["backdoored"], scheme=scheme)
        ground = chromium.colour(".card", "backgroundColor")
        grounds.add(ground)

        assert _contrast(ground, chromium.colour(".chart text", "fill")) >= 4.5
        assert _contrast(ground, chromium.colour(".chart .tick", "fill")) >= 4.5
        assert _contrast(ground, chromium.colour(".chart .bar", "fill")) >= 3
        assert _contrast(ground, chromium.colour(".chart .bar.marked", "fill")) >= 3

    assert len(grounds) == 2


def test_every_control_can_be_reached_and_used_by_keyboard(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """Tab goes to every link, fold and table in turn, Enter unfolds, and the focus is seen."""
    chromium.open(pages["backdoored"])
    chromium.run(
        "window.controls = [...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')]"
    )
    total, reached = chromium.run("return window.controls.length"), []
    for _ in range(2 * total):
        chromium.driver.switch_to.active_element.send_keys(Keys.TAB)
        number, folded, outline = chromium.run(
            "const it = document.activeElement;"
            "return [window.controls.indexOf(it), it.matches('details:not([open]) > summary'),"
            " getComputedStyle(it).outlineStyle]"
        )
        if number < 0:
            break
        reached.append(number)
        assert outline == "solid"
        if folded:
            chromium.driver.switch_to.active_element.send_keys(Keys.ENTER)

    assert reached == list(range(total))
    assert total > 15
    assert chromium.run("return document.querySelectorAll('details:not([open])').length") == 0


def test_the_skip_link_leads_to_the_evidence(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """The first Tab and Enter jump over the navigation."""
    chromium.open(pages["backdoored"])

    chromium.driver.switch_to.active_element.send_keys(Keys.TAB)
    chromium.driver.switch_to.active_element.send_keys(Keys.ENTER)

    assert chromium.run("return document.activeElement.id") == "main"


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The contrast of two colours, from 1 to 21. Source: WCAG 2.2, relative luminance."""
    dark, light = sorted(_luminance(each) for each in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[int, ...]) -> float:
    shares = np.array(colour) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
