"""What was tested is said step by step, and so is where a scan ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evidence import ReferenceSummary, ScanResult
from pipeline.report.html_page import render
from pipeline.report.tested import tested as lines_of
from pipeline.report.wording import WORDING
from pipeline.steps import STEPS
from stages.searches import SEARCHES
from tests.support.finished_scans import ended_at, with_evidence

Make = Callable[..., ScanResult]

AFTER = ("judge", "find_untargeted_noise", "find_mask", "run_ban")
"""Steps at which no scan ends: they refuse nothing."""


def test_its_lines_are_the_steps_with_a_title(make_result: Make, refused: ScanResult) -> None:
    """They stand in the order of the table, whatever was reached."""
    for result in (make_result(), refused):
        lines = [(each.title, each.asks) for each in lines_of(result)]
        assert lines == [(step.title, step.asks) for step in STEPS if step.title]


def test_a_full_scan_has_done_every_search(make_result: Make) -> None:
    """Every search is done, and says how many images that took."""
    lines = {each.title: each for each in lines_of(make_result())}

    for search in SEARCHES:
        (step,) = (each for each in STEPS if each.name == f"find_{search.name}")
        assert lines[step.title].state == "done"
        assert lines[step.title].detail.endswith("1,120 images shown")
    assert lines["Feature mask"].state == "done"
    assert lines["Published algorithm"].state == "off"
    assert lines["References"].detail == "no reference was given"


@pytest.mark.parametrize("step", [each.name for each in STEPS if each.name not in AFTER])
def test_a_scan_that_ended_anywhere_has_a_page(make_result: Make, step: str) -> None:
    """Steps that were done are told, one stopped, and the later ones were not reached."""
    result = ended_at(make_result(), step)

    page, lines = render(result), lines_of(result)

    states = [each.state for each in lines if each.state not in ("off", "none")]
    assert states.count("stopped here") == 1
    first = states.index("stopped here")
    assert set(states[:first]) <= {"done"}
    assert set(states[first + 1 :]) <= {"not reached"}
    assert "It broke." in page
    assert "stopped here" in page


def test_a_scan_that_never_came_to_references_does_not_say_that_none_was_given(
    make_result: Make, refused: ScanResult
) -> None:
    """Only a scan that was judged knows that it had none."""
    states = {name: _references(each) for name, each in _cases(make_result, refused).items()}

    assert states == {
        "judged": ("none", "no reference was given"),
        "refused": ("not reached", ""),
        "one used": ("done", "1 of 2 used"),
    }


def _references(result: ScanResult) -> tuple[str, str]:
    (line,) = (each for each in lines_of(result) if each.title == "References")
    return line.state, line.detail


def _cases(make_result: Make, refused: ScanResult) -> dict[str, ScanResult]:
    one = ReferenceSummary(
        uri="a", digest="ab" * 32, verdict="clean", p_value=0.4, p_is_bound=False, used=True
    )
    done = (*make_result().done, "select_references")
    both = with_evidence(make_result(done=done), references=(one, replace(one, used=False)))
    return {"judged": make_result(), "refused": refused, "one used": both}


@pytest.mark.parametrize(
    ("classes", "known", "reach"),
    [(24, 24, "every class"), (200, 14, "all 200 classes briefly, 14 of them to the end")],
)
def test_it_says_how_thoroughly_classes_were_searched(
    make_result: Make, classes: int, known: int, reach: str
) -> None:
    """Where a screen spared some of them, the page does not claim otherwise."""
    result = make_result()
    assert result.evidence.twin is not None
    values = np.where(np.arange(classes) < known, 0.5, np.nan).astype(np.float32)
    found = {
        name: replace(each, statistics=dict.fromkeys(each.statistics, values))
        for name, each in result.evidence.searches.items()
    }
    twin = replace(result.evidence.twin, classes=classes)
    result = with_evidence(result, twin=twin, searches=found)

    details = {each.title: each.detail for each in lines_of(result)}

    for search in SEARCHES:
        detail = details[WORDING[search.name].title]
        assert detail.startswith("every class" if search.joint else reach)
