"""Bars on a terminal or in a notebook: how far the running step is, and how long it still takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from tqdm import tqdm

from pipeline.cache.store import Watch
from pipeline.pace.course import Course
from pipeline.steps import Step
from stages import progress

FORMAT = "{desc:<34} {percentage:3.0f} % |{bar}| {elapsed}<{remaining}"


def progress_bars(steps: Sequence[Step], course: Course | None = None) -> Watch:
    """A watch that draws one bar for each step, numbered, on stderr, and none where nobody sees it.

    The course of the scan is told which step runs.
    """
    numbers = count(1)

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        if course:
            course.step = name
        label = f"[{next(numbers)}/{len(steps)}] {name.replace('_', ' ')}"
        with (
            tqdm(
                desc=label,
                total=1,
                bar_format=FORMAT,
                file=sys.stderr,
                leave=False,
                disable=not _is_seen(),
            ) as bar,
            progress.listening(lambda done, total: _move(bar, done, total)),
        ):
            yield

    return watch


def _is_seen() -> bool:
    """Whether stderr is a terminal, or the output of a notebook's cell."""
    stream = sys.stderr
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")


def _move(bar: tqdm[Any], done: int, total: int) -> None:
    """Shows `done` of `total`; a count that starts again starts the clock again."""
    if total != bar.total or done < bar.n:
        bar.reset(total)
    bar.update(done - bar.n)
