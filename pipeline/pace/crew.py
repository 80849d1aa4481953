"""Parts of a scan's searches that others take on, for a model that is too much for one machine.

A search advances its classes in groups that know nothing of each other. Each such group, and each
portion of the brief looks, can be worked off anywhere; what comes back is put together here, and
says to the last bit what it says without a crew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipeline.config import ScanConfig
from stages import progress
from stages.searches import SEARCHES
from stages.searches.blocks import Block
from stages.searches.screen import (
    Looked,
    Paused,
    blocks_of,
    groups_of,
    look,
    look_portions,
)
from stages.searches.search import Search, Subject
from stages.types import Integers

T = TypeVar("T")

ASKED_EVERY = 0.5
"""Seconds after which it is asked whether to stop, while others work."""

Looks = Mapping[tuple[str, int], "Future[Looked]"]
"""Brief looks under way, by the search's name and the first class of the portion."""


class Crew(Protocol):
    """Who takes on parts of a scan's searches."""

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Has `work` done by somebody, sooner or later; a `Subject` travels there once."""


def looks_of(crew: Crew, subject: Subject, config: ScanConfig) -> Looks:
    """Hands out all brief looks at all classes."""
    looks = {}
    for search in SEARCHES:
        brief = config.searches[search.name].brief
        for portion in look_portions(search, config.searches[search.name], subject.twin.classes):
            arguments = (search, subject, brief, portion, config.seed)
            looks[search.name, int(portion[0])] = crew.submit(look, *arguments)
    return looks


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """A search that was handed out: what had `begun` and come to its end before, and the rest."""

    begun: tuple[Block, ...]
    handed_out: Sequence[Future[tuple[Block, ...]]]

    def joined(self) -> tuple[Block, ...]:
        """The blocks of all parts, when all have come; each that comes is reported.

        Raises:
            Paused: it was to pause before; with the blocks that had come.
        """
        step_done = progress.counter(len(self.handed_out))
        waiting = set(self.handed_out)
        while waiting:
            ended, waiting = wait(waiting, ASKED_EVERY, return_when=FIRST_COMPLETED)
            for _ in ended:
                step_done()
            if waiting and progress.is_pause_wanted():
                raise Paused(self._blocks(but=waiting))
        return self._blocks()

    def _blocks(self, but: Collection[Future[Any]] = ()) -> tuple[Block, ...]:
        come = [each.result() for each in self.handed_out if each not in but]
        return (*self.begun, *(block for blocks in come for block in blocks))


def parts_of(
    crew: Crew,
    search: Search,
    subject: Subject,
    config: ScanConfig,
    classes: Integers,
    begun: tuple[Block, ...],
) -> Parts:
    """Hands out a search of the classes (n,) to its end, but for what had `begun` and is there."""
    settings, seed = config.searches[search.name], config.seed
    ended = tuple(each for each in begun if each.step >= settings.steps)
    done = {int(number) for block in ended for number in block.classes}
    left = (
        group
        for group in groups_of(search, subject, settings, classes, seed)
        if not done.issuperset(group.tolist())
    )
    handed_out = [crew.submit(blocks_of, search, subject, settings, each, seed) for each in left]
    return Parts(begun=ended, handed_out=handed_out)


def awaited(looked: Future[Looked]) -> Looked:
    """A look, when it has come.

    Raises:
        Paused: it was to pause before.
    """
    while not looked.done():
        wait([looked], ASKED_EVERY)
        if progress.is_pause_wanted():
            raise Paused
    return looked.result()
