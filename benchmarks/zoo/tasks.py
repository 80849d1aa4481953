"""The tasks of the zoo: their images, how much each is trained, and which nets suit them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import torch

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


def _part(base: str, classes: tuple[int, ...]) -> Task:
    """Some classes of another task, in their order, and 2 500 of their images at most, or 600 of
    each.
    """
    whole = TASKS[base]
    return replace(
        whole,
        make=partial(_only, base, classes),
        images=min(whole.images, max(2500, 600 * len(classes))),
        epochs=30 if base == "digits" else 8,
        classes=len(classes),
    )


def _only(base: str, classes: tuple[int, ...]) -> data.Split:
    """The images of some classes of a task; their labels are places in `classes`."""
    full, wanted = split_of(base), torch.tensor(classes)

    def part(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.isin(labels, wanted)
        return images[chosen], (labels[chosen, None] == wanted).int().argmax(1)

    train = part(full.train_images, full.train_labels)
    return data.Split(*train, *part(full.test_images, full.test_labels))


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
    "signs-10-96": _pictures("signs-10-96", 3000, 8),
    "flags-12-128": _pictures("flags-12-128", 3000, 8),
    "signs-10-large": _pictures("signs-10-large", 1000, 16),
    "pairs": Task(
        make=data.pairs, origin="digits", images=16000, epochs=6, classes=100, channels=1, side=32
    ),
}
FEW_CALIBRATED = {
    "digits-3-8": ("digits", (3, 8)),
    "digits-1-7": ("digits", (1, 7)),
    "digits-0-6-9": ("digits", (0, 6, 9)),
    "fashion-2-4": ("fashion", (2, 4)),
    "fashion-0-6": ("fashion", (0, 6)),
    "fashion-5-7-9": ("fashion", (5, 7, 9)),
    "colour-1-8": ("colour", (1, 8)),
    "colour-0-3-6": ("colour", (0, 3, 6)),
    "signs-2-9": ("signs-16", (2, 9)),
}
"""Tasks of two or three classes whose clean models a null comes from: of which, and which ones."""
FEW_REPORTED = {
    "digits-4-9": ("digits", (4, 9)),
    "digits-2-3-5": ("digits", (2, 3, 5)),
    "fashion-1-3": ("fashion", (1, 3)),
    "fashion-4-6-8": ("fashion", (4, 6, 8)),
    "colour-2-4": ("colour", (2, 4)),
    "colour-5-7-9": ("colour", (5, 7, 9)),
    "flags-3-11": ("flags-20", (3, 11)),
    "flags-1-7-15": ("flags-20", (1, 7, 15)),
}
"""Those that are reported on."""
UNDER_TEN = {
    "digits-of-4": ("digits", (0, 3, 7, 8)),
    "digits-of-6": ("digits", (1, 2, 4, 5, 7, 9)),
    "digits-of-8": ("digits", (0, 1, 2, 3, 4, 5, 7, 8)),
    "fashion-of-4": ("fashion", (0, 2, 4, 6)),
    "fashion-of-7": ("fashion", (1, 3, 5, 6, 7, 8, 9)),
    "colour-of-5": ("colour", (0, 1, 4, 7, 8)),
    "colour-of-9": ("colour", (0, 1, 2, 3, 4, 5, 6, 7, 9)),
    "signs-of-6": ("signs-16", (0, 3, 6, 9, 12, 15)),
    "flags-of-5": ("flags-20", (0, 4, 8, 12, 16)),
    "flags-of-8": ("flags-20", (1, 3, 6, 9, 11, 14, 17, 19)),
}
"""Tasks of four to nine classes, on which the limit for ten is tried."""
PARTS = FEW_CALIBRATED | FEW_REPORTED | UNDER_TEN
TASKS |= {name: _part(*each) for name, each in PARTS.items()}


@cache
def split_of(name: str) -> data.Split:
    """The images of a task."""
    return TASKS[name].make()
