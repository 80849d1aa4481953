"""What people ask first stands on the first screen, and a page fits on five sheets of paper."""

from __future__ import annotations

import base64
from pathlib import Path

import pypdfium2
import pytest
from selenium.webdriver.common.print_page_options import PrintOptions

from tests.support import browser

HEADINGS = "return [...document.querySelectorAll('h2, h3')].map(e => e.textContent.trim())"
A4 = (21.0, 29.7)  # centimetres
MOST_SHEETS = 5
INSIDE = (
    "const screen = arguments[1];"
    "return [...document.querySelectorAll(arguments[0])].map(each => {"
    " const box = each.getBoundingClientRect();"
    " return box.top >= 0 && box.bottom <= screen && box.height > 0; })"
)
LABELS = (
    "return [...document.querySelectorAll('svg.chart')].map(chart => {"
    " const boxes = [...chart.querySelectorAll('text')].map(each => each.getBoundingClientRect());"
    " return boxes.some((one, i) => boxes.slice(i + 1).some(two =>"
    "  one.left < two.right && two.left < one.right &&"
    "  one.top + 2 < two.bottom && two.top + 2 < one.bottom)); })"
)
"""Whether any two labels of a chart lie on each other, for each chart."""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("name", ["backdoored", "named"])
def test_the_success_of_the_trigger_is_on_the_first_screen(
    chromium: browser.Browser, pages: dict[str, Path], name: str, width: int, height: int
) -> None:
    """With the verdict, the date, the trigger, and images without and with it."""
    chromium.open(pages[name], width)

    for part, count in (("h1", 1), ("time", 1), (".success", 1), ("header .strip img", 9)):
        assert chromium.run(INSIDE, part, height) == [True] * count, part
    assert "turns 100% of 180 clean images of other classes into class 7" in chromium.run(
        "return document.querySelector('.success').textContent"
    )
    assert chromium.run("return document.querySelectorAll('header .hit').length") == 4


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["backdoored", "clean", "named"])
def test_no_label_of_a_chart_lies_on_another(
    chromium: browser.Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    """Names of axes, ticks and values all have their own place."""
    chromium.open(pages[name], width)

    found = chromium.run(LABELS)

    assert len(found) > 5
    assert not any(found)


def test_a_clean_page_has_calm_colours(chromium: browser.Browser, pages: dict[str, Path]) -> None:
    """The highest class is marked in green there, and in a warning colour where it is accused."""
    marked = {}
    for name in ("clean", "backdoored"):
        chromium.open(pages[name])
        marked[name] = chromium.colour(".chart .bar.marked", "fill")

    red, green, blue = marked["clean"]
    assert green > max(red, blue)
    red, green, blue = marked["backdoored"]
    assert red > max(green, blue)


@pytest.mark.parametrize("name", ["backdoored", "clean", "inconclusive", "refused", "named"])
def test_a_page_takes_at_most_five_sheets_and_orphans_no_heading(
    chromium: browser.Browser, pages: dict[str, Path], name: str
) -> None:
    """On A4, and no sheet ends with a heading whose text is on the next one."""
    chromium.open(pages[name])
    headings = set(chromium.run(HEADINGS))

    sheets = [_lines(sheet) for sheet in _printed(chromium)]

    assert 1 <= len(sheets) <= MOST_SHEETS
    assert all(sheet and sheet[-1] not in headings for sheet in sheets)
    assert sum(line in headings for sheet in sheets for line in sheet) > 4


def _printed(chromium: browser.Browser) -> list[pypdfium2.PdfPage]:
    options = PrintOptions()
    options.page_width, options.page_height = A4
    return list(pypdfium2.PdfDocument(base64.b64decode(chromium.driver.print_page(options))))


def _lines(sheet: pypdfium2.PdfPage) -> list[str]:
    """The lines of a sheet in the order of the page."""
    lines = sheet.get_textpage().get_text_range().splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]
