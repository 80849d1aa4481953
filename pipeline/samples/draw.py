"""Takes as many pictures of each class, at random but the same for one seed, and opens them."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.intake import npz
from pipeline.samples.collection import Collection
from pipeline.samples.picture import Picture, PictureError, opened
from pipeline.samples.transform import Transform
from stages import progress
from stages.errors import SamplesError
from stages.types import Floats, Integers

IN_ALL = 500
"""Pictures that are drawn unless another number is asked for."""
MOST_BROKEN = 0.1
"""Largest share of pictures tried that may be unusable."""
SHOWN = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Images (N, *input shape), labels (N,), the sha256 and name of each picture as `sha256sum`
    writes them, and a few words on each that could not be used.
    """

    images: Floats
    labels: Integers
    pictures: tuple[str, ...]
    skipped: tuple[str, ...]

    @property
    def per_class(self) -> dict[int, int]:
        """How many pictures there are of each class, by its number."""
        return dict(sorted(Counter(self.labels.tolist()).items()))

    @property
    def digest(self) -> str:
        """The sha256 of the lines of all pictures, in their order."""
        return hashlib.sha256("\n".join(self.pictures).encode()).hexdigest()


def draw(
    collection: Collection,
    numbers: Mapping[str, int],
    transform: Transform,
    per_class: int | None,
    seed: int,
) -> Drawn:
    """Pictures of all classes in turn, `per_class` of each where there are as many.

    Those that cannot be opened are replaced by others of their class, and named.

    Raises:
        SamplesError: too many cannot be opened, they differ in size, or they are too much.
    """
    wanted = per_class or -(-IN_ALL // len(numbers))
    skipped: list[str] = []
    done = progress.counter(sum(min(wanted, len(each)) for each in collection.pictures.values()))
    taken: list[tuple[int, int, Floats, str]] = []
    size = 0
    for label, pictures in sorted(collection.pictures.items(), key=lambda item: numbers[item[0]]):
        usable = _usable(_shuffled(pictures, seed, numbers[label]), transform, skipped)
        for turn, (image, line) in zip(range(wanted), usable, strict=False):
            taken.append((turn, numbers[label], image, line))
            size += image.nbytes
            _require_room(size)
            done()
    _require_usable(skipped, len(taken))
    taken.sort(key=lambda each: each[:2])  # so that the first ones are of all classes
    return Drawn(
        images=_stacked([image for _, _, image, _ in taken]),
        labels=np.array([number for _, number, _, _ in taken], np.int64),
        pictures=tuple(line for *_, line in taken),
        skipped=tuple(skipped),
    )


def _shuffled(pictures: tuple[Picture, ...], seed: int, number: int) -> Iterator[Picture]:
    ordered = sorted(pictures, key=lambda each: each.name)
    return (ordered[i] for i in np.random.default_rng([seed, number]).permutation(len(ordered)))


def _usable(
    pictures: Iterator[Picture], transform: Transform, skipped: list[str]
) -> Iterator[tuple[Floats, str]]:
    for each in pictures:
        try:
            content = each.content()
            image = transform(opened(content))
        except (PictureError, OSError) as error:
            skipped.append(f"`{each.name}` {error}")
            logger.warning("skipped: %s", skipped[-1])
            continue
        yield image, f"{hashlib.sha256(content).hexdigest()}  {each.name}"


def _require_usable(skipped: list[str], usable: int) -> None:
    if not usable or len(skipped) > max(1, MOST_BROKEN * (usable + len(skipped))):
        raise SamplesError(
            f"{len(skipped)} of {usable + len(skipped)} pictures cannot be used, at most"
            f" {MOST_BROKEN:.0%} may be unusable: {'; '.join(skipped[:SHOWN])}"
            f"{' …' if len(skipped) > SHOWN else ''}; replace them or take them out"
        )


def _require_room(size: int) -> None:
    if size > npz.LARGEST:
        raise SamplesError(
            f"the images take more than {npz.LARGEST // 2**30} GiB; take fewer of each class by"
            " `--per-class`, or smaller ones by `--crop`"
        )


def _stacked(images: list[Floats]) -> Floats:
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise SamplesError(
            f"the model takes images of any size, and the pictures have {len(shapes)} sizes, such"
            f" as {shapes[0]} and {shapes[-1]}; choose one by `--resize` or `--crop`"
        )
    return np.stack(images)
