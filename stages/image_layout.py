"""The axes of an input: which one holds the colours, which values occur, which a mask covers."""

from __future__ import annotations

from math import prod

from stages.types import Floats

COLOURS = (1, 3, 4)
"""Sizes that make an axis count as the colour axis."""


def colour_axis(shape: tuple[int, ...]) -> int | None:
    """The colour axis in the shape of one input; None if the input is not an image.

    >>> colour_axis((3, 32, 32)), colour_axis((32, 32, 3)), colour_axis((64,))
    (0, 2, None)
    """
    if len(shape) != 3:
        return None
    return 2 if shape[2] in COLOURS and shape[0] not in COLOURS else 0


def valid_range(images: Floats) -> tuple[Floats, Floats]:
    """Smallest and largest value of each colour of images (N, *input shape), else of all values.

    Both have as many axes as one image, so they broadcast over it.
    """
    axis = colour_axis(images.shape[1:])
    pooled = tuple(i for i in range(images.ndim) if axis is None or i != axis + 1)
    return images.min(pooled, keepdims=True)[0], images.max(pooled, keepdims=True)[0]


def mask_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a mask over one image: one number per pixel, the same for its colours."""
    axis = colour_axis(shape)
    return tuple(1 if i == axis else size for i, size in enumerate(shape))


def plane(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of one image; any other input counts as one row.

    >>> plane((3, 32, 24)), plane((32, 24, 3)), plane((28, 28)), plane((64,))
    ((32, 24), (32, 24), (28, 28), (1, 64))
    """
    axis = colour_axis(shape)
    sizes = [size for i, size in enumerate(shape) if i != axis]
    return (sizes[0], sizes[1]) if len(sizes) == 2 else (1, prod(sizes))
