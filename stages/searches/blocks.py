"""How a search keeps what it knows of each class, so that it can be stopped and taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Generic, TypeVar

import numpy as np

from stages import progress
from stages.later import torch
from stages.types import Floats

Config = TypeVar("Config")
Ground = TypeVar("Ground")


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Classes (g,) that have taken the same number of steps, and tensors (g, …) of each by name.

    `early` (g,) is what each had reached after the search's first steps; None before.
    """

    classes: torch.Tensor
    step: int
    tensors: Mapping[str, torch.Tensor]
    early: torch.Tensor | None = None

    def only(self, rows: torch.Tensor) -> Block:
        """The rows (n,) of it."""
        some = {name: tensor[rows] for name, tensor in self.tensors.items()}
        early = None if self.early is None else self.early[rows]
        return replace(self, classes=self.classes[rows], tensors=some, early=early)

    def with_tensors(self, **changed: torch.Tensor) -> Block:
        """The same with some tensors changed or added."""
        return replace(self, tensors={**self.tensors, **changed})


@dataclass(frozen=True, kw_only=True, eq=False)
class State(Generic[Config, Ground]):
    """How far a search has come: settings and seed, its `ground` (what it is searched on), and
    blocks of the classes that have begun.
    """

    config: Config
    seed: int
    classes: int
    ground: Ground
    blocks: tuple[Block, ...] = field(default=())

    @property
    def steps(self) -> int:
        """Steps taken so far, added up over the classes."""
        return sum(len(block.classes) * block.step for block in self.blocks)

    def per_class(self, values: list[torch.Tensor]) -> Floats:
        """Values (K,) from one (g,) per block; NaN for classes that have not begun."""
        spread: Floats = np.full(self.classes, np.nan, np.float32)
        for block, each in zip(self.blocks, values, strict=True):
            spread[block.classes.cpu().numpy()] = each.detach().cpu().numpy()
        return spread

    def early(self) -> Floats | None:
        """What every class (K,) had reached after the first steps; None if that was not noted."""
        noted = [block.early for block in self.blocks if block.early is not None]
        return self.per_class(noted) if noted and len(noted) == len(self.blocks) else None

    def place_of(self, target: int) -> tuple[Block, int]:
        """The block of a class that has begun, and its row there."""
        for block in self.blocks:
            rows = (block.classes == target).nonzero()
            if len(rows):
                return block, int(rows[0])
        raise KeyError(target)


Begin = Callable[["torch.Tensor"], Block]
"""The block of classes (g,) before their first step."""
Climb = Callable[[Block, int, Callable[[], None]], Block]
"""A block after so many more steps, each of which is reported."""
S = TypeVar("S", bound=State)  # type: ignore[type-arg] # of whatever search


def advanced(
    state: S, classes: torch.Tensor, steps: int, rows: int, begin: Begin, climb: Climb
) -> S:
    """The state after `steps` more steps of the classes (n,), at most `rows` of them at once.

    Where a pause is wanted (`progress.pausing`) it is the state so far: some classes have taken
    fewer steps then, and those that come last have not begun.
    """
    begun = torch.cat([block.classes for block in state.blocks] or [classes[:0]])
    new = classes[~torch.isin(classes, begun)]
    chosen, others = _parted(state.blocks, classes)
    parts = [part for block in chosen for part in _split(block, rows)]
    beginnings = torch.split(new, rows) if len(new) else ()
    step_done = progress.counter((len(parts) + len(beginnings)) * steps)
    moved = [_climbed(part, climb, steps, step_done) for part in parts]
    for each in beginnings:
        if progress.is_pause_wanted():
            break
        moved.append(_climbed(begin(each), climb, steps, step_done))
    return replace(state, blocks=(*others, *moved))


def _climbed(block: Block, climb: Climb, steps: int, step_done: Callable[[], None]) -> Block:
    """The block after so many more steps, or fewer where a pause is wanted."""
    early = block.early
    if not progress.may_pause():
        return replace(climb(block, steps, step_done), early=early)
    for _ in range(steps):
        if progress.is_pause_wanted():
            break
        block = climb(block, 1, step_done)
    return replace(block, early=early)


def _parted(
    blocks: tuple[Block, ...], classes: torch.Tensor
) -> tuple[Iterator[Block], list[Block]]:
    """The chosen classes, one block for each number of steps, and the blocks of the others."""
    chosen: list[Block] = []
    others: list[Block] = []
    for block in blocks:
        wanted = torch.isin(block.classes, classes)
        for rows, kind in ((wanted, chosen), (~wanted, others)):
            if rows.any():
                kind.append(block.only(rows.nonzero()[:, 0]))
    chosen.sort(key=lambda block: block.step)
    return (_joined(list(alike)) for _, alike in groupby(chosen, lambda each: each.step)), others


def _joined(blocks: list[Block]) -> Block:
    """Blocks at the same step as one."""
    names = blocks[0].tensors
    tensors = {name: torch.cat([each.tensors[name] for each in blocks]) for name in names}
    noted = [each.early for each in blocks if each.early is not None]
    return Block(
        classes=torch.cat([each.classes for each in blocks]),
        step=blocks[0].step,
        tensors=tensors,
        early=torch.cat(noted) if len(noted) == len(blocks) else None,
    )


def _split(block: Block, rows: int) -> list[Block]:
    numbers = torch.arange(len(block.classes), device=block.classes.device)
    return [block.only(part) for part in torch.split(numbers, rows)]
