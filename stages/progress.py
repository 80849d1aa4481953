"""How a stage reports its progress without knowing who listens.

A stage writes `for step in progress.ticks(30): …`; whoever shows a bar calls it in `listening`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

Listener = Callable[[int, int], None]


def _nobody(done: int, total: int) -> None:
    pass


_listener: ContextVar[Listener] = ContextVar("listener", default=_nobody)


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
