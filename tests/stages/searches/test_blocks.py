"""How a search keeps its classes: in blocks that fit into memory, none lost and none twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages import progress
from stages.searches.blocks import Block, State, advanced
from stages.searches.parts import images_that_fit, rows_at_once
from tests.support import twins

MANY = 10
Counting = State[None, None]
"""A search without settings that counts its steps in the tensor `count`."""


def begun() -> Counting:
    """A search of which no class has begun."""
    return State(config=None, seed=0, classes=MANY, ground=None)


def begin(group: torch.Tensor) -> Block:
    """Classes that start at ten times their number."""
    return Block(classes=group, step=0, tensors={"count": 10.0 * group})


def climb(block: Block, steps: int, step_done: Callable[[], None]) -> Block:
    """One more in the count for each step."""
    for _ in range(steps):
        step_done()
    count = block.tensors["count"] + steps
    return Block(classes=block.classes, step=block.step + steps, tensors={"count": count})


def moved(state: Counting, classes: list[int], steps: int, rows: int = 3) -> Counting:
    """The search after so many more steps of the classes."""
    return advanced(state, torch.tensor(classes, dtype=torch.int64), steps, rows, begin, climb)


@pytest.mark.parametrize("memory_mb", [0, 4, 8, 2048])
@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_blocks_cover_every_class_once_and_in_order(architecture: str, memory_mb: int) -> None:
    """Whatever the memory, the blocks one after the other are the classes."""
    twin, images = twins.twin(architecture), torch.tensor(twins.samples().images[:20])
    rows = rows_at_once(images_that_fit(twin, images, memory_mb), len(images))

    state = moved(begun(), list(range(MANY)), 1, rows)

    assert torch.cat([block.classes for block in state.blocks]).tolist() == list(range(MANY))
    assert all(0 < len(block.classes) <= rows for block in state.blocks)


def test_more_memory_makes_fewer_blocks() -> None:
    """From one class each to all at once, never more blocks with more memory."""
    twin, images = twins.twin(), torch.tensor(twins.samples().images[:20])

    counts = [
        len(moved(begun(), list(range(MANY)), 1, rows_at_once(most, len(images))).blocks)
        for most in (images_that_fit(twin, images, memory) for memory in (0, 4, 20, 40, 80, 2048))
    ]

    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (10, 1)
    assert len(set(counts)) > 2


@given(
    st.lists(st.tuples(st.sets(st.integers(0, MANY - 1)), st.integers(1, 4)), max_size=6),
    st.integers(1, MANY),
)
def test_every_class_takes_the_steps_asked_for(
    calls: list[tuple[set[int], int]], rows: int
) -> None:
    """Whatever is advanced when, each class goes on from where it was, and the others rest."""
    state, expected = begun(), np.full(MANY, np.nan)

    for chosen, steps in calls:
        state = moved(state, sorted(chosen), steps, rows)
        for each in chosen:
            expected[each] = (10 * each if np.isnan(expected[each]) else expected[each]) + steps

    found = state.per_class([block.tensors["count"] for block in state.blocks])
    np.testing.assert_array_equal(found, expected)
    for target in range(MANY):
        if not np.isnan(expected[target]):
            block, row = state.place_of(target)
            assert block.classes[row] == target
            assert block.step == expected[target] - 10 * target


def test_a_class_that_has_not_begun_has_no_place() -> None:
    """It is asked for in vain."""
    with pytest.raises(KeyError, match="7"):
        moved(begun(), [1, 2], 1).place_of(7)


def test_a_state_is_left_as_it_was() -> None:
    """Whoever keeps one can go on from it again."""
    before = moved(begun(), [1, 2, 3], 2)

    one, again = moved(before, [2], 5), moved(before, [2], 5)

    counts = [s.per_class([b.tensors["count"] for b in s.blocks]) for s in (before, one, again)]
    assert counts[0][2] == 22
    np.testing.assert_array_equal(counts[1], counts[2])


def test_every_step_of_every_block_is_heard() -> None:
    """Four classes, two at a time, take three steps in each of two blocks."""
    heard: list[tuple[int, int]] = []

    with progress.listening(lambda done, total: heard.append((done, total))):
        moved(begun(), [1, 2, 3, 4], 3, rows=2)

    assert heard == [(step + 1, 6) for step in range(6)]
