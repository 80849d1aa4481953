"""Patterns are no finer on large images than on those that the calibration was measured on."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest
import torch

from stages import image_layout
from stages.searches import SEARCHES
from stages.searches.coarse import coarse
from stages.searches.screen import run
from stages.searches.search import Search
from stages.searches.trigger import Overlay, Patch
from stages.settings import unchecked
from stages.types import Floats
from stages.verdict.calibration import shipped
from tests.support import brief_searches
from tests.support.subjects import demo_subject

DETAIL = 48
large = pytest.mark.parametrize(
    "shape", [(3, 96, 96), (96, 96, 3), (1, 128, 100), (130, 97), (3, 224, 300)]
)
SEARCHED = [search for search in SEARCHES if hasattr(search.settings(), "detail")]
"""Those that climb to a pattern; warps and filters are smooth, and the others try fixed changes."""


def cell_of(shape: tuple[int, ...], detail: int) -> int:
    return ceil(min(image_layout.plane(shape)) / detail)


def corners(values: torch.Tensor, shape: tuple[int, ...], cell: int) -> torch.Tensor:
    """Of each pixel the value at the upper left corner of its square."""
    axis = image_layout.colour_axis(shape)
    rows, columns = [number for number in range(len(shape)) if number != axis]
    for dim in (rows, columns):
        first = torch.arange(shape[dim]) // cell * cell
        values = values.index_select(values.dim() - len(shape) + dim, first)
    return values


def patterns(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 48, 48), (48, 64, 3), (28, 28), (64,), (5000,)])
def test_small_images_and_vectors_keep_every_value(shape: tuple[int, ...]) -> None:
    """Up to so many pixels along the shorter side, and of what is no image, nothing changes."""
    shares = patterns(shape)

    assert coarse(shares, shape, DETAIL) is shares


@large
def test_a_pattern_is_of_one_colour_in_each_square(shape: tuple[int, ...]) -> None:
    """The squares are the smallest ones of which not too many lie along the shorter side."""
    cell = cell_of(shape, DETAIL)

    shown = coarse(patterns(shape), shape, DETAIL)

    assert cell > 1
    assert ceil(min(image_layout.plane(shape)) / (cell - 1)) > DETAIL
    assert torch.equal(shown, corners(shown, shape, cell))
    assert len(torch.unique(shown)) > DETAIL


@large
def test_the_colour_is_the_mean_of_the_square(shape: tuple[int, ...]) -> None:
    """So a gradient moves all pixels of a square alike, and a pattern of squares stays as it is."""
    cell, shares = cell_of(shape, DETAIL), patterns(shape)

    once = coarse(shares, shape, DETAIL)

    first = tuple(slice(cell) if size > 4 else slice(1) for size in shape)
    assert once[0, 0][first].mean() == pytest.approx(float(shares[0, 0][first].mean()), rel=1e-5)
    torch.testing.assert_close(coarse(once, shape, DETAIL), once)


def test_both_orders_of_the_axes_give_the_same() -> None:
    """Colours first or last."""
    shares = patterns((3, 96, 120))

    first = coarse(shares, (3, 96, 120), DETAIL)
    last = coarse(shares.movedim(2, -1), (96, 120, 3), DETAIL)

    assert torch.equal(first.movedim(2, -1), last)


def _pattern(trigger: Any) -> Floats:
    """A trigger's pattern (*input shape) where it covers the image."""
    if isinstance(trigger, Overlay):
        return trigger.pattern
    assert isinstance(trigger, Patch)
    return np.where(trigger.mask > 0, trigger.colours, np.float32(np.nan))


@pytest.mark.parametrize("search", SEARCHED, ids=lambda search: search.name)
def test_what_a_search_finds_is_no_finer(search: Search) -> None:
    """All of each square that a trigger covers has one colour; by default it is not so on small
    images.
    """
    subject = demo_subject("blended")
    fine = unchecked(brief_searches.of(search), detail=DETAIL)
    few = unchecked(fine, detail=4)

    default, found = (
        _pattern(run(search, subject, config, np.arange(10), 0).trigger) for config in (fine, few)
    )

    def spread(values: Floats) -> float:
        squares = values.reshape(4, 4, 4, 4).transpose(0, 2, 1, 3).reshape(16, 16)
        known = squares[~np.isnan(squares).all(1)]
        return float((np.nanmax(known, 1) - np.nanmin(known, 1)).max())

    assert spread(found[0]) < 1e-6 < spread(default[0])


@pytest.mark.parametrize("search", SEARCHED, ids=lambda search: search.name)
def test_no_image_that_was_calibrated_on_loses_detail(search: Search) -> None:
    """So the calibration holds as it was measured."""
    assert search.settings().detail >= shipped().range.largest_side
