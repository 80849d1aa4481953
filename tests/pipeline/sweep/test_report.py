"""What a sweep's reports say, in every format, and that thousands of rows stay quick."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring

from pipeline.sweep.formats import junit_text, sarif_text
from pipeline.sweep.page import render
from pipeline.sweep.rows import Sweep, json_lines, sweep_in
from tests.support import browser
from tests.support.report_pages import Reader
from tests.support.sweeps import blocked, line, result, sweep_folder

MANY = 5000


def test_versions_are_ranked_by_their_score(sweep: Sweep) -> None:
    """The largest first; what has none comes after, the worst codes first."""
    head, *rows = [json.loads(each) for each in json_lines(sweep).splitlines()]

    assert [each["name"] for each in rows[:3]] == ["worse", "bad", "fine"]
    assert [each["rank"] for each in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[0]["q_value"] == pytest.approx(0.03)
    assert [each["q_is_bound"] for each in rows[:3]] == [True, False, False]
    assert head["counts"] == {
        "backdoored": 2, "inconclusive": 1, "clean": 1, "no samples": 1, "given up": 1, "failed": 1
    }  # fmt: skip
    assert (head["versions"], head["waiting"], head["exit_code"]) == (8, 1, 4)
    assert (head["models_tested"], head["expected_false_blocks"]) == (3, pytest.approx(0.15))


def test_junit_has_a_case_for_each_version(sweep: Sweep) -> None:
    """Blocks fail, what was not judged is an error, what waits is skipped."""
    (suite,) = fromstring(junit_text(sweep)).findall("testsuite")

    endings = {case.get("name"): [each.tag for each in case] for case in _cases(suite)}

    assert endings == {
        "models:/fine/1": [],
        "models:/bad/1": ["failure"],
        "models:/worse/1": ["failure"],
        "models:/unsure/1": ["error"],
        "models:/alone/1": ["error"],
        "models:/lost/1": ["error"],
        "models:/away/1": ["error"],
        "models:/waits/1": ["skipped"],
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("8", "2", "4")


def test_sarif_has_a_result_for_each_that_does_not_pass(sweep: Sweep) -> None:
    """At its place, with its numbers; links in a reason are none."""
    (run,) = json.loads(sarif_text(sweep))["runs"]

    rules = {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]: each["ruleId"]
        for each in run["results"]
    }
    texts = {each["message"]["text"] for each in run["results"]}

    assert rules == {
        "models/worse/1": "backdoor",
        "models/bad/1": "backdoor",
        **{f"models/{name}/1": "not-judged" for name in ("unsure", "alone", "lost", "away")},
    }
    assert run["results"][0]["properties"]["q_value"] == pytest.approx(0.03)
    assert not run["invocations"][0]["executionSuccessful"]
    assert "only <b>3</b> \\[x\\](y)" in texts
    prints = {each["partialFingerprints"]["primaryLocationLineHash"] for each in run["results"]}
    assert len(prints) == len(run["results"])


def test_the_page_tells_it_all(sweep: Sweep) -> None:
    """Counts, the false blocks to expect, every version, and names as text."""
    page = render(sweep)
    prose = Reader(page).prose

    assert "7 of 8 versions done, 2 blocked" in prose
    assert "waiting1" in prose
    assert "if all 3 models tested were clean, at a false-alarm rate of 5%" in prose
    assert "only <b>3</b>" in prose
    assert "<b>3</b>" not in page
    assert "<script" not in page
    assert "< 0.03" in prose


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of five thousand versions with names and reasons of usual length."""
    folder = tmp_path_factory.mktemp("large")
    lines = [line(f"team-{n % 70}/classifier-of-something", n + 1) for n in range(MANY)]
    reason = "class 3 stands out (anomaly score 5.12, critical value 1.69, p < 0.016)"
    results = (
        blocked(each, p_value=0.01, reasons=(reason,)) if n % 20 == 0 else result(each)
        for n, each in enumerate(lines)
    )
    sweep_folder(folder, lines, results)
    page = folder / "report.html"
    page.write_text(render(sweep_in(folder)))
    return page


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """One browser for all tests here."""
    with browser.chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_five_thousand_rows_open_at_once(chromium: browser.Browser, large: Path) -> None:
    """In less than two seconds, laid out; nothing else is requested, nothing is wrong."""
    chromium.open(large)
    started = time.monotonic()
    chromium.driver.get(large.as_uri())
    chromium.run("return document.body.getBoundingClientRect().height")
    seconds = time.monotonic() - started
    loaded = chromium.run(
        "const [entry] = performance.getEntriesByType('navigation'); return entry.loadEventEnd"
    )

    assert chromium.run("return document.querySelectorAll('tbody tr').length") == MANY
    assert loaded < 2000, f"{loaded:.0f} ms"
    assert seconds < 2, f"{seconds:.1f} s"
    assert set(chromium.requests()) == {large.as_uri()}
    assert chromium.errors() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(
    chromium: browser.Browser, sweep: Sweep, tmp_path: Path, scheme: str
) -> None:
    """In either colour scheme."""
    page = tmp_path / "report.html"
    page.write_text(render(sweep))
    chromium.open(page, scheme=scheme)

    found = chromium.violations()

    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_does_not_scroll_sideways(
    chromium: browser.Browser, large: Path, width: int
) -> None:
    """Tables that are wider than the screen scroll by themselves."""
    chromium.open(large, width)

    wide, screen = chromium.run(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )

    assert wide <= screen <= width


def _cases(suite: Element) -> list[Element]:
    return suite.findall("testcase")
