"""Where an image keeps its colours, and what values they take."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import image_layout
from stages.types import Floats

SHAPES = [(3, 8, 6), (8, 6, 3), (1, 8, 6), (8, 6, 1), (4, 5, 5), (12,), (5, 7), (2, 3, 4, 5)]


def random_images(shape: tuple[int, ...], seed: int = 0) -> Floats:
    """Images whose colours have ranges of their own."""
    images = np.random.default_rng(seed).normal(size=(9, *shape)).astype(np.float32)
    axis = image_layout.colour_axis(shape)
    if axis is None:
        return images
    spread = [shape[axis] if i == axis else 1 for i in range(len(shape))]
    return images + 10 * np.arange(shape[axis], dtype=np.float32).reshape(spread)


def test_the_docstring_tells_the_truth() -> None:
    """Its examples run and give what they say."""
    found = doctest.testmod(image_layout)

    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((3, 32, 32), 0),
        ((1, 28, 28), 0),
        ((4, 32, 32), 0),
        ((32, 32, 3), 2),
        ((28, 28, 1), 2),
        ((3, 32, 3), 0),
        ((12, 32, 32), 0),
        ((64,), None),
        ((10, 20), None),
        ((2, 3, 32, 32), None),
    ],
)
def test_colours_are_found(shape: tuple[int, ...], axis: int | None) -> None:
    """First or last of three axes; first where both could be; none where it is no image."""
    assert image_layout.colour_axis(shape) == axis


@pytest.mark.parametrize(
    ("shape", "mask"),
    [((3, 8, 6), (1, 8, 6)), ((8, 6, 3), (8, 6, 1)), ((64,), (64,)), ((5, 7), (5, 7))],
)
def test_a_mask_has_one_number_per_pixel(shape: tuple[int, ...], mask: tuple[int, ...]) -> None:
    """Its colours are shared; without colours every number of the input has its own."""
    assert image_layout.mask_shape(shape) == mask


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_and_range_spread_over_an_image(shape: tuple[int, ...]) -> None:
    """Both have the axes of one image, so together with it they give its shape."""
    images = random_images(shape)
    low, high = image_layout.valid_range(images)

    assert np.broadcast_shapes(image_layout.mask_shape(shape), shape) == shape
    assert np.broadcast_shapes(low.shape, shape) == shape
    assert low.ndim == high.ndim == len(shape)


@given(st.sampled_from(SHAPES), st.integers(0, 50))
def test_the_range_holds_every_value_and_touches_some(shape: tuple[int, ...], seed: int) -> None:
    """No image leaves the range, and no smaller range would do."""
    images = random_images(shape, seed)

    low, high = image_layout.valid_range(images)

    assert ((images >= low) & (images <= high)).all()
    assert min((images == low).sum(), (images == high).sum()) >= low.size


@pytest.mark.parametrize("shape", [(3, 8, 6), (8, 6, 3)])
def test_every_colour_has_its_own_range(shape: tuple[int, ...]) -> None:
    """Colour by colour it is the smallest and the largest value over images and positions."""
    images = random_images(shape)
    axis = 1 + (image_layout.colour_axis(shape) or 0)
    colours = np.moveaxis(images, axis, 0).reshape(images.shape[axis], -1)

    low, high = image_layout.valid_range(images)

    assert low.ravel().tolist() == colours.min(1).tolist()
    assert high.ravel().tolist() == colours.max(1).tolist()
    assert low.max() > low.min() + 15


def test_without_colours_there_is_one_range() -> None:
    """A vector's numbers share the smallest and the largest of all."""
    images = random_images((12,))

    low, high = image_layout.valid_range(images)

    assert (low.tolist(), high.tolist()) == ([images.min()], [images.max()])


def test_a_constant_colour_has_an_empty_range() -> None:
    """What never varies leaves nothing to choose; the other colours keep theirs."""
    images = random_images((3, 8, 6))
    images[:, 1] = 0.25

    low, high = image_layout.valid_range(images)

    assert low[1].item() == high[1].item() == 0.25
    assert (low[[0, 2]] < high[[0, 2]]).all()
