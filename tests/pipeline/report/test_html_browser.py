"""A page in a real browser: it loads nothing, fits every screen, and can be printed."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from tests.support import browser

EXTENTS = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
PAPER = 718  # CSS pixels between the margins of a sheet of A4
PAGES = ("backdoored", "clean", "inconclusive", "refused", "named", "hostile")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_requests_nothing_and_has_no_errors(
    chromium: browser.Browser, pages: dict[str, Path], name: str
) -> None:
    """Chromium asks for the page alone, decodes every picture, and logs nothing."""
    chromium.open(pages[name])

    asked = [each for each in chromium.requests() if not each.startswith("data:image/png")]
    widths = chromium.run("return [...document.images].map(each => each.naturalWidth)")

    assert asked == [pages[name].as_uri()]
    assert chromium.errors() == []
    assert all(width > 0 for width in widths)
    assert bool(widths) == (name != "refused")


def test_the_policy_stops_what_escaping_missed(
    chromium: browser.Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    """Scripts, styles and addresses that got into the page all the same have no effect."""
    bad = tmp_path / "bad.html"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        planted = (
            "<script>document.title = 'run'</script><style>body { opacity: 0 }</style>"
            f"<img src='http://127.0.0.1:{listener.getsockname()[1]}/x'>"
            "<p id='p' style='opacity: 0'>text</p>"
            "<img src='data:,' onerror=\"document.title = 'run'\">"
        )
        bad.write_text(pages["clean"].read_text().replace("</main>", f"{planted}</main>"))
        chromium.open(bad)
        with pytest.raises(BlockingIOError):  # nobody has called
            listener.accept()

    opacity = "return ['body', '#p'].map(e => getComputedStyle(document.querySelector(e)).opacity)"
    assert chromium.driver.title.startswith("clean: ")
    assert chromium.run(opacity) == ["1", "1"]
    assert sum("Content Security Policy" in each for each in chromium.errors()) >= 4


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(
    chromium: browser.Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    """Nothing is wider than the screen, however long the names are; tables scroll by themselves."""
    chromium.open(pages[name], width)
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")

    extents = chromium.run(EXTENTS)

    assert extents[0] <= extents[1] <= width


def test_a_page_is_printed_in_light_colours(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """On paper the ground is white, whatever the screen showed, and what is folded is left out."""
    seen = "return [...document.querySelectorAll('details')].map(each => each.checkVisibility())"
    chromium.open(pages["backdoored"], PAPER, scheme="dark")
    assert all(chromium.run(seen))

    chromium.media("print", "dark")
    extents = chromium.run(EXTENTS)
    printed = base64.b64decode(chromium.driver.print_page())

    assert not any(chromium.run(seen))
    assert extents[0] <= extents[1] <= PAPER
    assert chromium.colour("body", "backgroundColor") == (255, 255, 255)
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 3
