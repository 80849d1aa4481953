"""A line of log every half minute where nobody sees the bars: step, share done, time left."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from pipeline.pace.course import Course
from pipeline.pace.duration import time_text

EVERY = 30.0  # seconds

logger = logging.getLogger(__name__)


@contextmanager
def telling(course: Course, every: float = EVERY) -> Iterator[None]:
    """Logs how far the scan is, every so many seconds, unless stderr is a terminal."""
    if sys.stderr.isatty():
        yield
        return
    over = Event()

    def tell() -> None:
        while not over.wait(every):
            logger.info("%s", line_of(course))

    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def line_of(course: Course) -> str:
    """Which step runs, and what is known of the whole."""
    step = course.step.replace("_", " ") or "beginning"
    if course.left is None:
        return f"{step}, {time_text(course.elapsed)} so far"
    done = f"{course.share:.0%} of the searches done"
    return f"{step}, {done}, about {time_text(course.left)} left"
