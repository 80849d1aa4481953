"""Bounds how many requests a second MLflow's client sends, by the hook it asks for headers.

MLflow itself waits as long as `Retry-After` says and repeats what a busy server refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.tracking.request_header import registry
from mlflow.tracking.request_header.abstract_request_header_provider import RequestHeaderProvider


class Pace:
    """Lets callers pass at most so many times a second, in the order of their coming."""

    def __init__(self, per_second: float) -> None:
        """`per_second` above 0."""
        self._every = 1 / per_second
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Waits for one's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._every
        time.sleep(max(0.0, turn - now))


_pace: Pace | None = None


class _Waiting(RequestHeaderProvider):
    """Adds no header, but is asked before every request."""

    def in_context(self) -> bool:
        return _pace is not None

    def request_headers(self) -> dict[str, str]:
        if _pace:
            _pace.take()
        return {}


@contextmanager
def limited(per_second: float) -> Iterator[None]:
    """Bounds the requests of this process's MLflow client within the block; 0: any number."""
    limit_requests(per_second)
    try:
        yield
    finally:
        limit_requests(0)


def limit_requests(per_second: float) -> None:
    """Bounds the requests of this process's MLflow client; 0 lifts the bound."""
    global _pace  # noqa: PLW0603 (one for the whole process)
    _pace = Pace(per_second) if per_second > 0 else None
    providers = registry._request_header_provider_registry
    if not any(isinstance(each, _Waiting) for each in providers):
        providers.register(_Waiting)
