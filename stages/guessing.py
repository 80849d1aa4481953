"""What accuracy says more than guessing does."""

from __future__ import annotations

CLEARLY = 1.5
"""So many times as often as by guessing."""


def above_guessing(least: float, classes: int) -> float:
    """The smallest accuracy in [0, 1] that is enough: `least`, and clearly above guessing one of so
    many classes, which for two or three is not far below.
    """
    return max(least, CLEARLY / classes)
