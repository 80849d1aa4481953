"""The course of a scan: how much is done, how long the rest takes, when to stop."""

from __future__ import annotations

import pytest

from pipeline.pace.course import Course, over
from pipeline.pace.estimate import Estimate
from stages import progress

ESTIMATE = Estimate(images=600, kept=0, images_per_second=10.0)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


def begun(clock: Clock) -> Course:
    """A course whose searches begin, of 600 images that should take a minute."""
    course = Course(clock=clock)
    course.begin(ESTIMATE)
    course.expect(600)
    return course


def test_a_course_without_a_budget_never_ends() -> None:
    """However long it takes."""
    clock = Clock()
    course = Course(clock=clock)

    clock.now += 1e9

    assert not course.is_limited
    assert not course.is_spent()


def test_a_budget_is_spent_when_its_time_is_over() -> None:
    """Counted from the beginning of the scan, whatever the time was used for."""
    clock = Clock()
    course = Course(30.0, clock=clock)

    clock.now += 29
    before = course.is_spent()
    clock.now += 1

    assert course.is_limited
    assert not before
    assert course.is_spent()
    assert over().is_spent()


def test_what_is_left_is_what_was_estimated_at_first() -> None:
    """Before anything is known it is not said at all."""
    clock = Clock()
    course = Course(clock=clock)
    assert course.left is None

    clock.now += 7
    course.begin(ESTIMATE)
    course.expect(600)

    assert (course.share, course.left, course.needed) == (0.0, 60.0, 67.0)


@pytest.mark.parametrize("seconds", [10, 60, 600])
def test_the_pace_of_the_searches_comes_to_count_more_than_the_one_measured(seconds: int) -> None:
    """From the middle on what is left is about as much as was needed until then."""
    clock = Clock()
    course = begun(clock)

    with course.showing(300):
        clock.now += seconds

    assert (course.share, course.searched) == (0.5, seconds)
    assert course.left == pytest.approx(seconds, rel=0.2)
    assert course.needed == course.left


@pytest.mark.parametrize("share", [0.005, 0.01])
def test_a_few_images_of_another_pace_do_not_upset_what_is_left(share: float) -> None:
    """Some searches show images forward only, which takes less or, beside them, more time."""
    clock = Clock()
    course = begun(clock)

    with course.showing(round(share * 600)):
        clock.now += 4 * share * 60

    assert course.left is not None
    assert 60 <= course.left < 1.6 * 60


def test_the_steps_of_a_search_are_heard() -> None:
    """Beside whoever else listens; a count that begins again does not count twice."""
    clock, heard = Clock(), []
    course = Course(clock=clock)
    course.begin(ESTIMATE)
    course.expect(600)
    shares = []

    with (
        progress.listening(lambda done, total: heard.append((done, total))),
        course.showing(600),
    ):
        for _ in range(2):
            step_done = progress.counter(4)
            for _ in range(4):
                clock.now += 1
                step_done()
                shares.append(course.share)

    assert shares == [0.25, 0.5, 0.75, 1.0] * 2
    assert len(heard) == 8
    assert course.share == 1.0
    assert course.left == 0


@pytest.mark.parametrize("more", [0, 600])
def test_work_may_come_to_be_known_later(more: int) -> None:
    """Such as that of further seeds; then less of the whole is done."""
    course = Course()
    course.expect(600)
    with course.showing(600):
        pass

    course.expect(more)

    assert course.share == 600 / (600 + more)
