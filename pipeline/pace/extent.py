"""How much of a scan was asked for, and how much was done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A `quick` scan was asked for, or one of at most `budget` seconds; and why it did not come to
    its end, empty where it did, with the seconds that a further call `needs`, if that is known.

    It is `settled` where it ended early for no other reason than that its verdict was certain.
    """

    quick: bool = False
    budget: float | None = None
    unfinished: str = ""
    settled: bool = False
    needs: float | None = None
