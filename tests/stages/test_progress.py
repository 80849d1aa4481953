"""Laws of progress: every step is reported once, to whoever listens at that moment."""

from __future__ import annotations

import threading

import pytest

from stages import progress

Reports = list[tuple[int, int]]


def reporter(reports: Reports) -> progress.Listener:
    """A listener that writes down what it hears."""
    return lambda done, total: reports.append((done, total))


@pytest.mark.parametrize("total", [0, 1, 5])
def test_ticks_report_every_step_once(total: int) -> None:
    """Steps come in order, and each is reported after its turn as (done, total)."""
    reports: Reports = []

    with progress.listening(reporter(reports)):
        steps = list(progress.ticks(total))

    assert steps == list(range(total))
    assert reports == [(done, total) for done in range(1, total + 1)]


def test_a_step_is_reported_after_its_turn() -> None:
    """While a step runs it is not yet done, and one that is left early is not reported."""
    reports: Reports = []

    with progress.listening(reporter(reports)):
        for step in progress.ticks(4):
            assert len(reports) == step
            if step == 2:
                break

    assert reports == [(1, 4), (2, 4)]


def test_a_counter_counts_by_itself() -> None:
    """Each call is one step done, whatever runs between the calls."""
    reports: Reports = []

    with progress.listening(reporter(reports)):
        step_done, other_done = progress.counter(2), progress.counter(9)
        for call in (step_done, other_done, step_done):
            call()

    assert reports == [(1, 2), (1, 9), (2, 2)]


def test_without_a_listener_nothing_happens() -> None:
    """A stage that reports to nobody runs all the same."""
    assert list(progress.ticks(3)) == [0, 1, 2]


def test_the_inner_listener_hears_what_happens_inside() -> None:
    """Listeners nest, and the outer one hears again after the inner block."""
    outer: Reports = []
    inner: Reports = []

    with progress.listening(reporter(outer)):
        with progress.listening(reporter(inner)):
            list(progress.ticks(1))
        list(progress.ticks(2))

    assert (inner, outer) == ([(1, 1)], [(1, 2), (2, 2)])


def test_a_failure_ends_the_listening() -> None:
    """After a block that fails nobody listens any more."""
    reports: Reports = []

    with pytest.raises(ValueError, match="inside"), progress.listening(reporter(reports)):
        raise ValueError("inside")
    list(progress.ticks(2))

    assert reports == []


def test_a_counter_reports_to_the_listener_it_began_with() -> None:
    """Who listened when the count began hears it to its end."""
    reports: Reports = []

    with progress.listening(reporter(reports)):
        step_done = progress.counter(1)
    step_done()

    assert reports == [(1, 1)]


def test_other_threads_are_not_heard() -> None:
    """A listener hears its own context only, so that two scans at once do not mix."""
    reports: Reports = []

    with progress.listening(reporter(reports)):
        alone = threading.Thread(target=lambda: list(progress.ticks(2)))
        alone.start()
        alone.join()

    assert reports == []
