"""Groups of squares: where they lie, and how they are laid apart."""

from __future__ import annotations

import pytest
import torch

from stages import image_layout
from stages.searches.probe import probe
from stages.searches.squares import Grid, Squares, everywhere, square_of
from tests.support.planted import CLASSES, SHAPES, TARGET, corner, planted

GRIDS = [
    Grid(side=0.25, stride=0.5, along=2),
    Grid(side=0.125, stride=0.5, along=3),
    Grid(side=0.25, stride=1.0, along=2),
    Grid(side=0.5, stride=0.5, along=2),
    Grid(side=1.0, stride=0.5, along=2),
    Grid(side=0.1, stride=0.3, along=64),
]
PLANES = [(1, 16, 16), (3, 28, 28), (3, 48, 32), (20, 30, 3), (64,)]
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=str)
every_plane = pytest.mark.parametrize("shape", PLANES, ids=str)


def on_a_probe(grid: Grid, shape: tuple[int, ...] = SHAPES[0]) -> Squares:
    """All groups of a grid for every class, on images with a trigger in a corner."""
    subject = planted(corner(), shape)
    images = probe(subject, 10, seed=0, memory_mb=512)
    return everywhere(images, subject.classes, grid, detail=48, seed=0)


@every_grid
@every_plane
def test_groups_deal_out_every_place_of_the_grid_once(grid: Grid, shape: tuple[int, ...]) -> None:
    """No place lies in two groups, none is empty, and the first and the last place are there."""
    groups = grid.groups(shape)

    assert (groups.sum(0) <= 1).all()
    assert groups.any(1).all()
    assert groups[:, 0].any()
    assert groups[:, -1].any()


@every_grid
def test_every_pixel_lies_under_some_square(grid: Grid) -> None:
    """So no trigger as large as a pixel is out of reach."""
    squares = on_a_probe(grid)

    masks, _ = squares.laid()

    assert (masks.amax(0) == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("grid", GRIDS[:4], ids=str)
def test_squares_of_a_group_do_not_overlap(grid: Grid, shape: tuple[int, ...]) -> None:
    """As far as there are places enough, so that each has a pattern of its own."""
    squares = on_a_probe(grid, shape)
    mask_shape = image_layout.mask_shape(shape)
    size = square_of(shape, grid.side, torch.device("cpu")).sum()

    masks, _ = squares.laid()

    assert masks.shape == (len(squares.rows), 1, *mask_shape)
    assert torch.equal(masks.flatten(1).sum(1), squares.tensors["places"].sum(1) * size)


@pytest.mark.parametrize("shape", SHAPES)
@every_grid
def test_apart_each_square_of_each_group_has_a_row(grid: Grid, shape: tuple[int, ...]) -> None:
    """One square in each row, together those of the group, with the pattern of the group."""
    squares = on_a_probe(grid, shape)

    apart = squares.apart()

    rows = len(apart.rows) // len(squares.rows)
    single = apart.tensors["places"].reshape(len(squares.rows), rows, -1)
    assert (single.sum(2) == 1).all()
    assert torch.equal(single.any(1), squares.tensors["places"])
    assert torch.equal(apart.rows, squares.rows.repeat_interleave(rows))
    assert torch.equal(
        apart.tensors["colours"], squares.tensors["colours"].repeat_interleave(rows, 0)
    )


@every_grid
def test_the_group_that_leads_holds_the_square_on_the_trigger(grid: Grid) -> None:
    """And of its squares laid apart the one that leads lies there, for the target."""
    squares = on_a_probe(grid)

    climbed = squares.climbed(3, 0, 1.0, lambda: None)
    best = climbed.without_moments().leading(1).apart().leading(1)

    masks, _ = best.laid()
    assert best.rows.tolist() == list(range(CLASSES))
    assert masks[TARGET, 0, 0, -2:, -2:].any()


def test_leading_rows_are_those_that_reach_furthest() -> None:
    """Of every class as many as are asked for, and all where there are no more."""
    squares = on_a_probe(GRIDS[0])
    each = len(squares.rows) // CLASSES
    reached = squares.reached().reshape(CLASSES, each)

    two = squares.leading(2)

    best = reached.topk(2, dim=1).values
    torch.testing.assert_close(two.reached().reshape(CLASSES, 2), best)
    assert squares.leading(each) is squares
