"""A scan whose searches others take parts of says to the last bit what it says by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from pipeline.cache.store import Store
from pipeline.config import ScanConfig, load_config
from pipeline.pace.course import Course
from pipeline.pace.searching import Results, Unfinished, search_all
from stages.searches import SEARCHES
from stages.searches.screen import groups_of
from stages.searches.search import Subject
from tests.support import brief_searches
from tests.support.subjects import demo_subject

T = TypeVar("T")

IN_GROUPS = "; ".join(
    f"{each.name}.memory_mb=1" for each in SEARCHES if hasattr(each.settings(), "memory_mb")
)
FEW = load_config(None, (*brief_searches.BRIEF, IN_GROUPS))
MANY = replace(FEW, screen=brief_searches.MANY)


class Counting:
    """A crew of two threads, which counts what it was given, and does no more than `most` of it."""

    def __init__(self, most: int = 10_000) -> None:
        self.given = 0
        self.most = most
        self.pool = ThreadPoolExecutor(2)

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Takes work on."""
        self.given += 1
        return self.pool.submit(work, *arguments) if self.given <= self.most else Future()


@pytest.fixture
def subject() -> Subject:
    """The clean demo model."""
    return demo_subject("clean")


@pytest.fixture(scope="module")
def alone() -> Iterator[Callable[[ScanConfig], Results]]:
    """What the searches say without a crew."""
    kept: dict[int, Results] = {}

    def found(config: ScanConfig) -> Results:
        if id(config) not in kept:
            kept[id(config)] = search_all(demo_subject("clean"), config, Store(None))[1]
        return kept[id(config)]

    return found


def equal(one: Results, other: Results) -> bool:
    """Whether all results are the same: statistics bit for bit, what is accused, and the cost."""
    return list(one) == list(other) and all(
        (found.targets, found.effort) == (other[name].targets, other[name].effort)
        and all(
            np.array_equal(values, other[name].statistics[each], equal_nan=True)
            for each, values in found.statistics.items()
        )
        for name, found in one.items()
    )


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(FEW, marks=pytest.mark.nightly, id="few classes"),
        pytest.param(MANY, id="many classes"),
    ],
)
def test_a_crew_changes_no_result(
    subject: Subject, config: ScanConfig, alone: Callable[[ScanConfig], Results]
) -> None:
    """Every search is handed out, in groups where not all classes fit into the memory at once."""
    crew, course = Counting(), Course()

    chosen, found = search_all(subject, config, Store(None), course=course, crew=crew)

    groups = [
        groups_of(each, subject, config.searches[each.name], chosen.classes, 0) for each in SEARCHES
    ]
    assert crew.given >= sum(map(len, groups)) > len(SEARCHES)
    assert equal(found, alone(config))
    assert course.share == 1.0


def test_what_is_kept_is_not_handed_out(subject: Subject, tmp_path: Path) -> None:
    """A second scan gives a crew nothing to do."""
    first, second = Counting(), Counting()
    _, found = search_all(subject, MANY, Store(tmp_path), crew=first)

    _, again = search_all(subject, MANY, Store(tmp_path), crew=second)

    assert first.given > 0
    assert second.given == 0
    assert equal(again, found)


@pytest.mark.nightly
def test_what_came_before_the_end_of_the_time_is_kept(
    subject: Subject, tmp_path: Path, alone: Callable[[ScanConfig], Results]
) -> None:
    """A crew that falls silent does not hold a scan beyond its budget; the next one hands out what
    had not come, and ends as one that was never stopped.
    """
    silent, course = Counting(most=3), Course(2.0)
    with pytest.raises(Unfinished):
        search_all(subject, FEW, Store(tmp_path), course=course, crew=silent)
    crew = Counting()

    _, found = search_all(subject, FEW, Store(tmp_path), crew=crew)

    assert crew.given < silent.given
    assert equal(found, alone(FEW))


def test_a_part_that_fails_ends_the_scan(subject: Subject) -> None:
    """By its own exception."""

    class Failing(Counting):
        def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
            del work, arguments
            failed: Future[T] = Future()
            failed.set_exception(ArithmeticError("a part"))
            return failed

    with pytest.raises(ArithmeticError, match="a part"):
        search_all(subject, FEW, Store(None), crew=Failing())
