"""How far the searches of a scan have come, how much time they still need, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.pace.estimate import Estimate
from stages import progress

MEASURED_SHARE = 0.05
"""The pace that was measured before the searches counts as much as this share of their images: the
first searches may be of another pace than most, such as those that only show images forward.
"""


class Course:
    """The course of one scan, which began when this was made.

    `budget` is how many seconds it may take; None for as long as it needs. A `quick` one takes only
    the searches of a first look, one `until_certain` ends once a block is. `clock` gives seconds.
    `step` is what runs now, `shown` the images shown so far, `searched` the seconds of searching,
    `prepared` those before it began.
    """

    def __init__(
        self,
        budget: float | None = None,
        *,
        quick: bool = False,
        until_certain: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget
        self.quick = quick
        self.until_certain = until_certain
        self.clock = clock
        self.estimate: Estimate | None = None
        self.step = ""
        self.searched = 0.0
        self.prepared = 0.0
        self._started = clock()
        self._expected = 0
        self.shown = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the scan began."""
        return self.clock() - self._started

    @property
    def is_limited(self) -> bool:
        """Whether its time may be over before its end."""
        return self.budget is not None

    @property
    def needed(self) -> float | None:
        """Seconds that a further call needs, which begins with the same preparations."""
        return None if self.left is None else self.prepared + self.left

    def is_spent(self) -> bool:
        """Whether the time that it may take is over."""
        return self.budget is not None and self.elapsed >= self.budget

    @property
    def share(self) -> float:
        """The share in [0, 1] of the images to be shown that has been shown."""
        return min(self.shown / self._expected, 1.0) if self._expected else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the searches still need; None before anything is known of them."""
        if self.estimate is None:
            return None
        measured = max(MEASURED_SHARE * self._expected, 1.0)
        seconds = self.searched + measured / self.estimate.images_per_second
        pace = (self.shown + measured) / seconds
        return max(self._expected - self.shown, 0.0) / pace

    def expect(self, images: int) -> None:
        """So many more images are to be shown, or fewer where it is negative."""
        self._expected += images

    def begin(self, estimate: Estimate) -> None:
        """The searches begin, and this is what is expected of them."""
        self.estimate = estimate
        self.prepared = self.elapsed

    @contextmanager
    def showing(self, images: int) -> Iterator[None]:
        """Around a step that shows so many images, and reports its progress."""
        before, seconds, started = self.shown, self.searched, self.clock()

        def heard(done: int, total: int) -> None:
            self.shown = before + images * min(done / max(total, 1), 1.0)
            self.searched = seconds + self.clock() - started

        with progress.also_listening(heard):
            yield
        self.shown = before + images
        self.searched = seconds + self.clock() - started


def over() -> Course:
    """A course whose time is over: only what is kept is used."""
    return Course(0.0)
