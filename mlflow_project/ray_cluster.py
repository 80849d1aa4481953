"""A Ray cluster: found or started, with this process's own signals left as they are."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from mlflow_project.errors import Ended
from stages.errors import ConfigError

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
ANSWERS_WITHIN = 10.0  # seconds


def ray_itself() -> Any:
    """The module `ray`, with our settings.

    Raises:
        ConfigError: it is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ConfigError(
            "Ray is not installed; `pip install 'ban-gate[ray]'`, or run without `--ray`"
        ) from error
    return ray


def join(ray: Any, address: str | None) -> None:
    """Joins or starts a cluster.

    Raises:
        ConfigError: there is none at the address.
    """
    try:
        _require_answer(address)
        with _own_signals():
            ray.init(
                address=address,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.WARNING,
                namespace="ban-gate",
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"no Ray cluster can be reached at `{address or 'this machine'}` ({error}); start one"
            " with `ray start --head`, or give its address"
        ) from error


@contextmanager
def signals_unwrapped() -> Iterator[None]:
    """Lets the end that a signal asks for pass as it is: Ray makes an error of its own of it."""
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, Ended):
            raise error.__cause__ from None
        raise


def first_line(error: Exception) -> str:
    """What an error of Ray's says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _require_answer(address: str | None) -> None:
    """Raises unless somebody listens at an address with a port; Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
    """
    place = urlsplit(address if address and "://" in address else f"//{address or ''}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), ANSWERS_WITHIN).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps the handlers of this process, which Ray replaces by some that end it at once."""
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
        handlers = {number: signal.getsignal(number) for number in numbers if number}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
