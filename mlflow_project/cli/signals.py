"""Signals that ask the process to end, as exceptions, so that runs are closed and folders removed.

Another one that comes while that happens is not heard.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mlflow_project.errors import Ended

ENDING = ("SIGTERM", "SIGHUP")


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raises `Ended` where the process is asked to end; only in its main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {number: signal.signal(number, _raise) for number in numbers if _is_default(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_default(number: int) -> bool:
    """Whether nobody wanted the signal otherwise: `nohup` ignores SIGHUP."""
    return signal.getsignal(number) is signal.SIG_DFL


def _raise(number: int, _frame: FrameType | None) -> None:
    for name in ENDING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise Ended(number)
