"""A scan whose searches may end early says the same however it came about, and shows less."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cache.store import Store
from pipeline.config import ScanConfig, load_config
from pipeline.pace.course import Course
from pipeline.pace.searching import Results, Unfinished, search_all
from pipeline.pace.task import Scope
from stages.searches import SEARCHES
from stages.searches.search import Subject
from tests.support import brief_searches
from tests.support.clocks import Asked
from tests.support.subjects import demo_subject

LONGER = "patch.pattern_steps=5;small_patch.pattern_steps=4;tone.steps=6;warp.steps=7"
"""So that something is left after the first steps."""
ENDING = [each.name for each in SEARCHES if each.early_after is not None]


def settings(outlying: float, screen: bool = False) -> ScanConfig:
    """Brief searches, which go on from so many deviations on."""
    config = load_config(None, (*brief_searches.BRIEF, LONGER, f"judge.outlying={outlying}"))
    return replace(config, screen=brief_searches.MANY) if screen else config


NONE, ALL = settings(0.0), settings(100.0)


@pytest.fixture
def subject() -> Subject:
    """The clean demo model."""
    return demo_subject("clean")


def shown(results: Results) -> int:
    """Images of all searches."""
    return sum(each.effort.images for each in results.values())


def equal(one: Results, other: Results) -> bool:
    """Whether all searches say the same, bit for bit, for the same cost and reason."""
    return list(one) == list(other) and all(
        (found.targets, found.effort, found.silent)
        == (other[name].targets, other[name].effort, other[name].silent)
        and all(
            np.array_equal(values, other[name].statistics[each], equal_nan=True)
            for each, values in found.statistics.items()
        )
        for name, found in one.items()
    )


def test_those_end_that_nothing_stands_out_in(subject: Subject) -> None:
    """They say nothing, and what they had left to show is shown by none; all others are whole."""
    course = Course()
    _, whole = search_all(subject, NONE, Store(None))

    _, found = search_all(subject, ALL, Store(None), course=course)

    assert [name for name, each in found.items() if each.silent] == ENDING
    assert shown(found) < shown(whole)
    assert course.estimate is not None
    assert course.estimate.images == shown(whole)
    assert course.shown == shown(found)
    assert (course.share, course.left) == (1.0, 0)
    others = {name: each for name, each in found.items() if name not in ENDING}
    assert equal(others, {name: whole[name] for name in others})


def test_one_that_goes_on_ends_as_if_it_had_not_been_asked(subject: Subject) -> None:
    """Bit for bit what a search says that is done in one go."""
    _, whole = search_all(subject, settings(1e-6), Store(None))
    _, asked = search_all(subject, NONE, Store(None), scope=Scope(whole=True))

    assert not any(each.silent for each in whole.values())
    assert equal(whole, asked)


@pytest.mark.parametrize("screen", [False, True], ids=["few classes", "many classes"])
def test_it_is_the_same_in_portions(subject: Subject, tmp_path: Path, screen: bool) -> None:
    """Whatever a budget stops, before the first steps are over or after."""
    config = settings(2.0, screen)
    _, whole = search_all(subject, config, Store(None))

    for _ in range(400):
        course = Course(60.0, clock=Asked(60))
        try:
            _, found = search_all(subject, config, Store(tmp_path), course=course)
            break
        except Unfinished:
            continue

    assert equal(found, whole)
    assert not list(tmp_path.glob("begin_*/*"))


def _kept(tmp_path: Path, first: Callable[[Store], object], subject: Subject) -> Results:
    """What a scan says after something else, and that it searched nothing again."""
    first(Store(tmp_path))
    course = Course()
    _, found = search_all(subject, ALL, Store(tmp_path), course=course)
    assert course.estimate is None
    assert course.shown == 0
    return found


def test_it_is_the_same_whatever_is_kept(subject: Subject, tmp_path: Path) -> None:
    """After itself, and after whole searches, as of a reference; none of it is searched again."""
    _, alone = search_all(subject, ALL, Store(None))

    again = _kept(tmp_path / "own", lambda kept: search_all(subject, ALL, kept), subject)
    beside = _kept(
        tmp_path / "whole",
        lambda kept: search_all(subject, ALL, kept, scope=Scope(whole=True)),
        subject,
    )

    assert equal(again, alone)
    assert equal(beside, alone)


def test_a_crew_changes_nothing(subject: Subject) -> None:
    """Though it takes on whole searches."""
    _, alone = search_all(subject, ALL, Store(None))

    with ThreadPoolExecutor(2) as crew:
        _, found = search_all(subject, ALL, Store(None), crew=crew)

    assert equal(found, alone)


class Counting(ThreadPoolExecutor):
    """A crew that counts what it was given."""

    given = 0

    def submit(self, *work: Any, **options: Any) -> Future[Any]:
        """Takes work on."""
        self.given += 1
        return super().submit(*work, **options)


def test_nothing_is_handed_out_that_is_known(subject: Subject, tmp_path: Path) -> None:
    """Neither what ended early before nor what is not searched at all."""
    alone = Scope(alone=True)
    search_all(subject, ALL, Store(tmp_path), scope=alone)

    with Counting(2) as crew:
        search_all(subject, ALL, Store(tmp_path), crew=crew, scope=alone)

    assert crew.given == 0


def test_what_others_are_compared_with_is_searched_to_the_end(subject: Subject) -> None:
    """Also by a model of few classes, in which none can stand out."""
    few = replace(
        ALL,
        calibration=replace(ALL.calibration, range=replace(ALL.calibration.range, few_classes=10)),
    )

    _, reference = search_all(subject, ALL, Store(None), scope=Scope(whole=True))
    _, fewer = search_all(subject, few, Store(None))

    assert not any(each.silent for each in (*reference.values(), *fewer.values()))


def test_what_would_not_count_is_not_searched(subject: Subject) -> None:
    """By itself, where a statistic counts beside references only; beside them it is."""
    course = Course()
    _, alone = search_all(subject, NONE, Store(None), course=course, scope=Scope(alone=True))
    _, beside = search_all(subject, NONE, Store(None))

    (spared,) = (name for name, each in alone.items() if each.silent)
    assert all(
        each.only_beside
        for search in SEARCHES
        if search.name == spared
        for each in search.statistics
    )
    assert alone[spared].effort.images == 0 < beside[spared].effort.images
    assert course.estimate is not None
    assert course.estimate.images == shown(alone)
