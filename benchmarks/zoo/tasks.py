"""The tasks of the zoo: their images, how much each is trained, and which nets suit them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from benchmarks import data, pictures


@dataclass(frozen=True, kw_only=True)
class Task:
    """Where its images come from, how many are trained on, and how often; the number of classes.

    `channels` and `side` are those of an image. Tasks of one `origin` are made of the same
    drawings, so that who leaves one out leaves out all of them.
    """

    make: Callable[[], data.Split]
    origin: str
    images: int
    epochs: int
    classes: int
    channels: int
    side: int


def _pictures(name: str, images: int, epochs: int) -> Task:
    known = pictures.PICTURE_TASKS[name]
    return Task(
        make=partial(pictures.split, name),
        origin=name.partition("-")[0],
        images=images,
        epochs=epochs,
        classes=known.classes,
        channels=3,
        side=known.side,
    )


TASKS = {
    "digits": Task(
        make=data.digits, origin="digits", images=1100, epochs=30, classes=10, channels=1, side=16
    ),
    "fashion": Task(
        make=data.fashion, origin="clothes", images=12000, epochs=4, classes=10, channels=1, side=28
    ),
    "colour": Task(
        make=data.colour, origin="clothes", images=10000, epochs=4, classes=10, channels=3, side=32
    ),
    "signs-16": _pictures("signs-16", 6400, 6),
    "signs-43": _pictures("signs-43", 8600, 6),
    "signs-147": _pictures("signs-147", 11760, 5),
    "flags-20": _pictures("flags-20", 4000, 6),
    "pairs": Task(
        make=data.pairs, origin="digits", images=16000, epochs=6, classes=100, channels=1, side=32
    ),
}


@cache
def split_of(name: str) -> data.Split:
    """The images of a task."""
    return TASKS[name].make()
