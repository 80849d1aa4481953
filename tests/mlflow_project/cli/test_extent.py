"""`--quick`, `--budget` and Ctrl-C: what is told of a scan that is not done to its end."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable

import pytest
from click.testing import Result

from mlflow_project import commands
from mlflow_project.progress_lines import line_of, telling
from pipeline.pace.course import Course
from pipeline.pace.estimate import Estimate
from stages.searches import SEARCHES
from tests.support.brief_searches import BRIEF
from tests.support.verdict_schema import faults

pytestmark = pytest.mark.usefixtures("mlflow_settings")

Call = Callable[..., Result]
SAMPLES = commands.DEMO / "samples.npz"
SETTINGS = [part for each in BRIEF for part in ("--set", each)]


def test_a_first_look_never_passes_and_is_not_lost(call: Call) -> None:
    """Exit 3, `run the full scan`, which goes on from its searches and comes to a verdict."""
    arguments = (commands.DEMO / "clean.onnx", "--samples", SAMPLES, "--json", *SETTINGS)

    quick = call("scan", *arguments, "--quick")
    whole = call("scan", *arguments)

    document = json.loads(quick.stdout)
    assert quick.exit_code == 3
    assert (document["verdict"], faults(document)) == ("inconclusive", [])
    assert "run the full scan" in document["reasons"][0]
    assert document["extent"]["quick"] is True
    assert document["extent"]["finished"] is False
    done = list(document["searches"])
    assert document["extent"]["searches_left"] == [
        each.name for each in SEARCHES if each.name not in done
    ]
    assert whole.exit_code in (0, 1), whole.stderr
    final = json.loads(whole.stdout)
    assert (final["extent"]["finished"], final["extent"]["searches_left"]) == (True, [])
    for name in done:
        assert final["searches"][name]["statistics"] == document["searches"][name]["statistics"]
        assert f"find_{name}" in whole.stderr
    assert whole.stderr.count("kept from an earlier scan") >= len(done)


def test_a_budget_that_is_too_small_says_what_is_needed(call: Call) -> None:
    """Exit 3, with how much longer, in words and as a number, and where it went."""
    result = call(
        *("scan", commands.DEMO / "clean.onnx", "--samples", SAMPLES, "--json", "--budget", "1s")
    )

    document = json.loads(result.stdout)
    assert result.exit_code == 3, result.stderr
    assert faults(document) == []
    assert "the budget of 1 s is spent" in document["reasons"][0]
    assert "; the rest needs about " in document["reasons"][0]
    assert document["extent"]["needed_seconds"] > 0
    assert document["estimate"]["seconds"] > 0
    assert document["seconds"]["build_twin"] > 0
    assert "images at" in result.stderr


@pytest.mark.parametrize("text", ["10", "0s", "soon", "-5m"])
def test_a_wrong_budget_is_wrong_usage(call: Call, text: str) -> None:
    """With an example of a right one."""
    result = call("scan", commands.DEMO / "clean.onnx", "--samples", SAMPLES, "--budget", text)

    assert result.exit_code == 2
    assert "such as 90s, 10m or 1h30m" in result.stderr


def _course() -> Course:
    """A quarter of its images are shown, at the pace that was estimated."""
    now = [0.0]
    course = Course(clock=lambda: now[0])
    course.begin(Estimate(images=1000, kept=0, images_per_second=4.0))
    course.expect(1000)
    course.step = "find_small_patch"
    with course.showing(250):
        now[0] += 62.5
    return course


def test_a_line_tells_step_share_and_time() -> None:
    """Or the time so far, before anything is known of the rest."""
    assert line_of(_course()) == "find small patch, 25% of the searches done, about 3 min left"
    assert line_of(Course()) == "beginning, 1 s so far"


class Heard(logging.Handler):
    """Notes lines, and that there was one."""

    def __init__(self) -> None:
        super().__init__()
        self.one = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a line."""
        self.lines.append(record.getMessage())
        self.one.set()


def test_lines_come_while_it_runs_and_stop_with_it() -> None:
    """Off a terminal, every so many seconds, whatever the step does."""
    logger, heard = logging.getLogger("mlflow_project.progress_lines"), Heard()
    level, before = logger.level, threading.active_count()
    logger.addHandler(heard)
    logger.setLevel(logging.INFO)
    try:
        with telling(_course(), every=0.02):
            assert heard.one.wait(30)
    finally:
        logger.removeHandler(heard)
        logger.setLevel(level)

    assert set(heard.lines) == {line_of(_course())}
    assert threading.active_count() == before
