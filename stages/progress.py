"""How a stage reports its progress without knowing who listens.

A stage writes `for step in progress.ticks(30): …`; whoever shows a bar calls it in `listening`.
Whoever must be done by some time calls it in `pausing`: a search then stops between two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

Listener = Callable[[int, int], None]


def _nobody(done: int, total: int) -> None:
    pass


def _never() -> bool:
    return False


_listener: ContextVar[Listener] = ContextVar("listener", default=_nobody)
_wanted: ContextVar[Callable[[], bool]] = ContextVar("wanted", default=_never)


def counter(total: int) -> Callable[[], None]:
    """A function to call after each of `total` steps; every call reports (done, total)."""
    listener, done = _listener.get(), count(1)
    return lambda: listener(next(done), total)


def ticks(total: int) -> Iterator[int]:
    """Counts 0 … total − 1 and reports (done, total) after each turn."""
    step_done = counter(total)
    for step in range(total):
        yield step
        step_done()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Sends every report made inside the block to `listener(done, total)`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def also_listening(listener: Listener) -> Iterator[None]:
    """Sends every report to `listener(done, total)`, too, beside whoever listens already."""
    first = _listener.get()

    def both(done: int, total: int) -> None:
        first(done, total)
        listener(done, total)

    with listening(both):
        yield


@contextmanager
def pausing(wanted: Callable[[], bool]) -> Iterator[None]:
    """Lets what is called inside stop between two steps, once `wanted()` is true."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def may_pause() -> bool:
    """Whether a pause may come to be wanted, so that it is worth to take one step at a time."""
    return _wanted.get() is not _never


def is_pause_wanted() -> bool:
    """Whether to stop now."""
    return _wanted.get()()
