"""The searches of a scan within its course: what is estimated, what is done, what is kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.store import Store
from pipeline.config import ScanConfig, load_config
from pipeline.pace.course import Course
from pipeline.pace.estimate import works_of
from pipeline.pace.searching import (
    QUICK_SHARE,
    Results,
    Unfinished,
    cheapest_first,
    first_look,
    search_all,
)
from pipeline.pace.task import Scope
from stages.searches import SEARCHES
from stages.searches.search import Subject
from tests.support import brief_searches
from tests.support.clocks import Asked
from tests.support.subjects import demo_subject

BRIEF = load_config(None, brief_searches.BRIEF)
MANY = replace(BRIEF, screen=brief_searches.MANY)
configs = pytest.mark.parametrize("config", [BRIEF, MANY], ids=["few classes", "many classes"])


@pytest.fixture
def subject() -> Subject:
    """The clean demo model."""
    return demo_subject("clean")


def equal(one: Results, other: Results) -> bool:
    """Whether all statistics of all searches are the same, bit for bit."""
    return list(one) == list(other) and all(
        np.array_equal(values, other[name].statistics[each], equal_nan=True)
        for name, found in one.items()
        for each, values in found.statistics.items()
    )


def in_portions(
    subject: Subject, config: ScanConfig, store: Callable[[], Store], looks: int
) -> tuple[Results, int]:
    """What the searches say when every call has little time, and how many calls it took."""
    for calls in range(1, 400):
        try:
            found = search_all(subject, config, store(), course=Course(60.0, clock=Asked(looks)))
        except Unfinished:
            continue
        return found[1], calls
    raise AssertionError("it makes no way")


@configs
def test_a_budget_changes_no_result(subject: Subject, config: ScanConfig, tmp_path: Path) -> None:
    """However often the time runs out, each call goes on where the last one stopped, and the end
    is that of a scan without a budget, bit for bit.
    """
    _, whole = search_all(subject, config, Store(None))

    found, calls = in_portions(subject, config, lambda: Store(tmp_path), 60)

    assert calls > 1
    assert equal(found, whole)
    assert not list(tmp_path.glob("begin_*/*")), "what had begun is removed"


@configs
def test_the_estimate_is_what_is_shown(subject: Subject, config: ScanConfig) -> None:
    """Where all classes are searched it is exact; of many it is the most that is possible."""
    course = Course()

    chosen, found = search_all(subject, config, Store(None), course=course)

    shown = sum(each.effort.images for each in found.values())
    shown += sum(each.images for each in chosen.looked.values())
    assert course.estimate is not None
    exact = not config.screen.screens(subject.twin.classes)
    assert course.estimate.images == shown if exact else course.estimate.images >= shown
    assert course.shown == shown
    assert course.share == 1.0
    assert course.left == 0
    assert course.searched > 0


def test_looks_that_are_kept_count_as_nothing(subject: Subject, tmp_path: Path) -> None:
    """So that the time that is left is told by the pace of what is shown."""
    first, again = Course(), Course()
    _, found = search_all(subject, MANY, Store(tmp_path), course=first)
    shutil.rmtree(tmp_path / "choose_classes")

    _, same = search_all(subject, MANY, Store(tmp_path), course=again)

    assert equal(same, found)
    assert first.shown > 0
    assert (again.shown, again.left) == (0, 0)


def test_what_is_kept_is_not_estimated_again(
    subject: Subject, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is the model timed where nothing is left to be shown."""
    caplog.set_level(logging.INFO)
    first, second = Course(), Course()
    search_all(subject, BRIEF, Store(tmp_path), course=first)
    caplog.clear()

    search_all(subject, BRIEF, Store(tmp_path), course=second)
    works = works_of(subject, replace(BRIEF, seed=1), Store(tmp_path))

    assert first.estimate is not None
    assert second.estimate is None
    assert "images at" not in caplog.text
    assert sum(each.left for each in works) == sum(each.images for each in works) > 0


def test_the_estimate_is_told_before_the_first_search(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line with time, images and pace."""
    caplog.set_level(logging.INFO)
    course = Course(0.0)

    with pytest.raises(Unfinished):
        search_all(subject, BRIEF, Store(None), course=course)

    told = [record.getMessage() for record in caplog.records if "images at" in record.getMessage()]
    assert told == [str(course.estimate)]
    assert caplog.records[0].getMessage() == told[0]


def test_what_tells_most_for_its_time_comes_first(subject: Subject) -> None:
    """By the settings as shipped: what shows few images for a statistic."""
    works = works_of(subject, ScanConfig(), Store(None))
    images = {each.step: each.images for each in works}

    order = cheapest_first(works)

    costs = [images[f"find_{each.name}"] / len(each.statistics) for each in order]
    assert costs == sorted(costs)
    assert set(order) == set(SEARCHES)


@configs
def test_a_first_look_is_a_part_of_the_whole(
    subject: Subject, config: ScanConfig, tmp_path: Path
) -> None:
    """A third at most, the same whatever is kept, and what it finds is what the whole finds."""
    with pytest.raises(Unfinished) as quick:
        search_all(subject, config, Store(tmp_path), course=Course(quick=True))
    with pytest.raises(Unfinished) as again:
        search_all(subject, config, Store(tmp_path), course=Course(quick=True))
    _, whole = search_all(subject, config, Store(tmp_path))

    found = quick.value.results
    assert 0 < len(found) < len(SEARCHES)
    assert equal(found, again.value.results)
    assert equal(found, {name: whole[name] for name in found})
    if config is BRIEF:
        shown = sum(each.effort.images for each in found.values())
        assert shown <= QUICK_SHARE * sum(each.effort.images for each in whole.values())


def test_a_first_look_always_has_something_to_say(subject: Subject) -> None:
    """At least the cheapest search."""
    works = [
        replace(each, images=max(each.images, 1)) for each in works_of(subject, BRIEF, Store(None))
    ]

    assert first_look(works)[0] == cheapest_first(works)[0]


def test_classes_that_are_also_asked_for_are_searched_to_the_end(subject: Subject) -> None:
    """Beside those that the looks choose, but not one that always has the logits of another."""
    chosen, _ = search_all(subject, MANY, Store(None))
    left = np.setdiff1d(np.arange(subject.twin.classes), chosen.classes).tolist()
    same = replace(subject, clean=replace(subject.clean, alike=((left[0], left[1]),)))

    more, found = search_all(same, MANY, Store(None), scope=Scope(also=left[:2]))

    assert set(more.classes) - set(chosen.classes) == {left[1]}
    for search in SEARCHES:
        for values in found[search.name].statistics.values():
            assert search.joint or np.isfinite(values[left[1]])
            assert search.joint or np.isnan(values[left[0]])
