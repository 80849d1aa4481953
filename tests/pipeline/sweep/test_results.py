"""One result a version, whole or not at all; what it was made with decides whether it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.sweep.attempts import Attempts, attempts_at, begin, excuse, note_death
from pipeline.sweep.plan import Plan
from pipeline.sweep.results import Result, exit_code, read_result, result_path, results_of
from tests.support.sweeps import HEAD, blocked, line, result, sweep_folder

ONE, TWO = line("one"), line("two")


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    """With everything that is known of it."""
    found = blocked(ONE, p_is_bound=True, suspected_class=3, seconds=1.5, worker="host/1")

    folder = sweep_folder(tmp_path, [ONE], [found])

    assert read_result(folder, ONE.id) == found


@pytest.mark.parametrize("text", ["", "{}", "[", '{"id": 3}'])
def test_a_file_that_is_no_result_is_none(tmp_path: Path, text: str) -> None:
    """So its version is judged."""
    folder = sweep_folder(tmp_path, [ONE], [])
    result_path(folder, ONE.id).write_text(text)

    assert read_result(folder, ONE.id) is None


@pytest.mark.parametrize(
    "change", [{"scanner": "0.2"}, {"settings_digest": "ef" * 32}, {"policy_digest": "12" * 32}]
)
def test_a_result_stands_for_what_it_was_made_with(tmp_path: Path, change: dict[str, str]) -> None:
    """With another ban-gate, other settings or another policy it is none."""
    folder = sweep_folder(tmp_path, [ONE], [result(ONE)])
    same, other = Plan(head=HEAD, lines=(ONE,)), Plan(head=replace(HEAD, **change), lines=(ONE,))  # type: ignore[arg-type] # fields

    assert set(results_of(same, folder)) == {ONE.id}
    assert results_of(other, folder) == {}


def test_other_samples_make_it_none(tmp_path: Path) -> None:
    """Their digest is part of what a result was made with."""
    folder = sweep_folder(tmp_path, [ONE], [result(ONE)])
    moved = replace(ONE, samples_digest="99" * 32)

    assert results_of(Plan(head=HEAD, lines=(moved,)), folder) == {}


CLEAN, BLOCKED = result(ONE), blocked(TWO)
UNSURE = result(TWO, verdict="inconclusive", action="block", anomaly_score=None, p_value=None)
BY_POLICY = result(TWO, verdict="inconclusive", action="pass")
NONE = result(TWO, state="no samples", verdict=None, action="block")
LOST = result(TWO, state="given up", verdict=None, action="block")
FAILED = result(TWO, state="failed", verdict=None, action="block")


@pytest.mark.parametrize(
    ("results", "missing", "code"),
    [
        ([], 0, 0),
        ([CLEAN], 0, 0),
        ([CLEAN, BY_POLICY], 0, 0),
        ([CLEAN, BLOCKED, UNSURE], 0, 1),
        ([CLEAN, UNSURE], 0, 3),
        ([CLEAN, NONE], 0, 3),
        ([CLEAN, LOST], 0, 3),
        ([BLOCKED, FAILED], 0, 4),
        ([CLEAN], 1, 4),
    ],
)
def test_the_exit_code_says_the_worst(results: list[Result], missing: int, code: int) -> None:
    """4 before 1 before 3, so that nothing left to do looks done."""
    assert exit_code(results, missing) == code


def test_deaths_count_unless_the_end_was_orderly(tmp_path: Path) -> None:
    """They are noted in advance, so a machine that dies leaves its note."""
    note = tmp_path / "a.json"

    assert begin(note) == Attempts()
    excuse(note)
    assert attempts_at(note) == Attempts(started=1, deaths=0)
    begin(note)
    begin(note)

    assert attempts_at(note) == Attempts(started=3, deaths=2)
    assert attempts_at(note).hopeless


def test_deaths_elsewhere_are_noted_after(tmp_path: Path) -> None:
    """A machine of a cluster that dies takes this one not along."""
    note = tmp_path / "a.json"

    for died in (True, False, True):
        note_death(note, died=died)

    assert attempts_at(note) == Attempts(started=3, deaths=2)
