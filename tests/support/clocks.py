"""Clocks for tests of what has little time."""

from __future__ import annotations

from itertools import count


class Asked:
    """A clock by which time is over after so many looks at it."""

    def __init__(self, looks: int) -> None:
        self.looks = count()
        self.most = looks

    def __call__(self) -> float:
        """What it shows."""
        return 1e6 if next(self.looks) > self.most else 0.0
