"""How many images per second a model takes, forward and backward, on the device it is searched on.

What a search costs is counted in images (`Effort`), so this and a count of images say how long it
takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from stages.searches.probe import probe
from stages.searches.search import Subject
from stages.twin.arithmetic import both_ways

SHOWN = 16
"""Images that a row of a pass shows: as many as most searches take."""
PASSES = 2
"""Timed passes, after one that is not."""


def images_per_second(
    subject: Subject, memory_mb: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """How fast the twin is on its own samples, in batches as a search of all classes makes them.

    The passes are few and change nothing; `clock` gives seconds. It takes what a few hundred images
    take, or on a large net a few dozen.
    """
    shown = probe(subject, SHOWN, 0, memory_mb)
    rows = min(subject.twin.classes, shown.rows)
    images = shown.images.expand(rows, *shown.images.shape)
    both_ways(shown.logits, images)
    started = clock()
    for _ in range(PASSES):
        both_ways(shown.logits, images)
    return PASSES * rows * len(shown.images) / max(clock() - started, 1e-9)
