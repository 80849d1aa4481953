"""What is kept of a search that was stopped before its end, so that the next call goes on from it.

A stopped search is a result of its own in the store, beside that of the whole; it is replaced
whenever the search comes further, and removed when it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.cache.store import Store
from stages.later import torch
from stages.searches.blocks import Block
from stages.searches.search import Search, Subject
from stages.stage import Stage
from stages.types import Floats, Integers

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A block of classes (g,) as arrays: so many steps taken, its tensors (g, …) by name, and what
    each had reached `early` (g,).
    """

    classes: Integers
    step: int
    tensors: Mapping[str, Array]
    early: Floats | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Begun:
    """How far a search has come."""

    parts: tuple[Part, ...]


def begun_blocks(
    search: Search, store: Store, subject: Subject, settings: Any, classes: Integers, seed: int
) -> tuple[Block, ...]:
    """What is kept of the search; nothing if it was not stopped."""
    kept = store.kept(_begun_of(search), subject, settings, classes, seed)
    return tuple(_block(part, subject) for part in kept.parts) if kept else ()


def keep_blocks(
    blocks: tuple[Block, ...],
    search: Search,
    store: Store,
    subject: Subject,
    settings: Any,
    classes: Integers,
    seed: int,
) -> None:
    """Keeps how far the search has come."""
    begun = Begun(parts=tuple(map(_part, blocks)))
    store.remember(_begun_of(search), begun, subject, settings, classes, seed)


def forget_blocks(
    search: Search, store: Store, subject: Subject, settings: Any, classes: Integers, seed: int
) -> None:
    """Removes what was kept of a search that is over."""
    store.forget(_begun_of(search), subject, settings, classes, seed)


def images_begun(
    search: Search, store: Store, subject: Subject, settings: Any, classes: Integers, seed: int
) -> int:
    """How many images were shown in what is kept of the search."""
    blocks = begun_blocks(search, store, subject, settings, classes, seed)
    if not blocks:
        return 0
    state = search.start(subject, settings, seed)
    return search.effort(replace(state, blocks=blocks)).images


def _begun_of(search: Search) -> Stage[[Subject, Any, Integers, int], Begun]:
    """The stopped search as a stage, for its place in the store."""

    def begin(subject: Subject, config: Any, classes: Integers, seed: int) -> Begun:
        raise NotImplementedError  # it is kept by hand

    begin.__name__ = f"begin_{search.name}"
    return Stage(begin, search.version)


def _part(block: Block) -> Part:
    tensors = {name: each.detach().cpu().numpy() for name, each in block.tensors.items()}
    early = None if block.early is None else block.early.cpu().numpy()
    return Part(classes=block.classes.cpu().numpy(), step=block.step, tensors=tensors, early=early)


def _block(part: Part, subject: Subject) -> Block:
    device = subject.twin.device
    tensors = {name: torch.tensor(each, device=device) for name, each in part.tensors.items()}
    classes = torch.tensor(part.classes, device=device)
    early = None if part.early is None else torch.tensor(part.early, device=device)
    return Block(classes=classes, step=part.step, tensors=tensors, early=early)
