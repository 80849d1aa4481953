"""The pages of real scans as files, and one browser to open them in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.evidence import ScanResult
from pipeline.report.html_page import Origin
from tests.support import browser
from tests.support.report_pages import GATE, named, page_in, with_names


@pytest.fixture(scope="session")
def pages(
    real_scans: dict[str, ScanResult], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The pages of the scans as files, one with names of classes, a command and a run, and one in
    which every name is as long as a line.
    """
    written = {}
    for name, result in real_scans.items():
        folder = tmp_path_factory.mktemp(name)
        written[name] = page_in(folder, result, GATE if name == "backdoored" else None)
    names = tuple(f"kind of garment {number}" for number in range(10))
    named_scan = with_names(real_scans["backdoored"], names)
    origin = Origin(command=f"ban-gate scan {'x' * 200}", run_url="http://host/#/experiments/1")
    written["named"] = page_in(tmp_path_factory.mktemp("named"), named_scan, origin=origin)
    hostile = named(real_scans["backdoored"], "W" * 400)
    written["hostile"] = page_in(tmp_path_factory.mktemp("hostile"), *hostile)
    return written


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """One browser for all tests of pages."""
    with browser.chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
