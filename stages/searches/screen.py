"""Which classes are searched to the end where there are many, and what stands for the ordinary.

Up to `all_up_to` classes all of them are searched to the end, by every search. Beyond that every
search takes a brief look at every class, of which the hopeful ones alone go on after the first
step. Whatever leads in any of them is searched to the end by all, so no class is dropped by one
search alone; and so are some classes drawn at random before anything is known of them. Those stand
for the ordinary: medians and deviations over the classes are theirs alone. Of a class that is not
searched to the end nothing is said. A class without samples of its own is searched like any other,
and where most classes have some it never stands for the ordinary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stages import progress
from stages.later import torch
from stages.searches.blocks import Block, State
from stages.searches.search import Early, Effort, Search, SearchResult, Subject
from stages.settings import Classes, settings
from stages.stage import Stage
from stages.types import Floats, Integers, freeze

LOOKED_AT_ONCE = 64
"""Classes of one brief look: what is kept of a screen that is stopped goes in such portions."""
HOPEFUL = 8
"""One in so many classes of a brief look goes on after its first step."""


@settings
class ScreenConfig:
    """Settings of the screen."""

    all_up_to: Classes = 24
    """Number of classes up to which all of them are searched to the end."""
    leading: Classes = 1
    """Classes that lead a brief look and are searched to the end, for each search."""
    ordinary: Classes = 10
    """Classes drawn at random that are searched to the end and stand for the ordinary."""

    def screens(self, classes: int) -> bool:
        """Whether so many classes are screened."""
        return classes > max(self.all_up_to, self.ordinary)


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """The `classes` (n,) that are searched to the end, those of them that stand for the `ordinary`
    (m,), and what the looks at all classes have cost, by the name of the search.
    """

    classes: Integers
    ordinary: Integers
    looked: Mapping[str, Effort]

    def __post_init__(self) -> None:
        freeze(self.classes, self.ordinary)

    def also(self, classes: Sequence[int]) -> Chosen:
        """These, and some more that are searched to the end."""
        return replace(self, classes=np.union1d(self.classes, classes).astype(np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """What a brief look at some classes (n,) reached, the mean margin (n,) in logits, and its
    cost.
    """

    reached: Floats
    effort: Effort

    def __post_init__(self) -> None:
        freeze(self.reached)


Look = Callable[[Search, Subject, Any, Integers, int], Looked]
"""A brief look by a search at some classes (n,), with its brief settings and a seed."""


class Paused(Exception):
    """A search stopped between two steps, as was wanted; `blocks` are how far it has come."""

    def __init__(self, blocks: tuple[Block, ...] = ()) -> None:
        super().__init__("a search was stopped between two steps")
        self.blocks = blocks


def look(search: Search, subject: Subject, config: Any, classes: Integers, seed: int) -> Looked:
    """What a brief look at the classes (n,) reaches: those that reach furthest by its first step
    go on to its end.

    Raises:
        Paused: it was to pause; nothing is kept of the look.
    """
    state = _advanced(search, subject, search.start(subject, config, seed), classes, steps=1)
    early = search.reached(state)
    furthest = np.argsort(-early[classes], kind="stable")
    hopeful = classes[furthest[: _going_on(len(classes))]]
    state = _advanced(search, subject, state, hopeful, config.steps)
    ended = tuple(each for each in state.blocks if each.step >= config.steps)
    later = search.reached(replace(state, blocks=ended))
    reached = np.where(np.isnan(later), early, later)[classes]
    return Looked(reached=reached, effort=search.effort(state))


def choose_classes(
    searches: Sequence[Search],
    subject: Subject,
    configs: Mapping[str, Any],
    screening: ScreenConfig,
    seed: int,
    look: Look = look,
) -> Chosen:
    """All classes, or those that lead a brief look of any search and some drawn at random.

    Deterministic for a given seed. The twin is left as it was.

    Raises:
        Paused: it was to pause.
    """
    count = subject.twin.classes
    unsearched = subject.clean.unsearched
    everything = np.setdiff1d(np.arange(count), unsearched)
    covered = everything[np.isin(everything, subject.samples.labels)]
    usual = covered if 2 * len(covered) >= len(everything) else everything
    if not screening.screens(count):
        return Chosen(classes=everything, ordinary=usual, looked={})
    drawn = np.random.default_rng(seed).permutation(count)
    ordinary = np.sort(drawn[np.isin(drawn, usual)][: screening.ordinary])
    classes, looked = set(ordinary.tolist()), {}
    for search in searches:
        reached, looked[search.name] = _looked(search, subject, configs[search.name], seed, look)
        classes |= set(leading(reached, screening.leading)) - set(unsearched)
    return Chosen(classes=np.array(sorted(classes)), ordinary=ordinary, looked=looked)


def leading(reached: Floats, count: int) -> list[int]:
    """The classes that reached furthest (K,); none where all reached the same, or nothing."""
    if np.isnan(reached).any() or np.ptp(reached) == 0:
        return []
    order: list[int] = np.argsort(-reached, kind="stable")[:count].tolist()
    return order


def run(
    search: Search,
    subject: Subject,
    config: Any,
    classes: Integers,
    seed: int,
    begun: tuple[Block, ...] = (),
) -> SearchResult:
    """What a search says of the classes (n,), searched to the end; NaN of all others.

    Deterministic for a given seed, which draws the samples and the starts; one that goes on from
    what had `begun` ends as one that was never stopped. The twin is left as it was.

    Raises:
        Paused: it was to pause before its end.
    """
    state = begun_early(search, subject, config, classes, seed, begun)
    state = _advanced(search, subject, state, classes, config.steps)
    return replace(search.result(state), early=early_of(search, state))


def begun_early(
    search: Search,
    subject: Subject,
    config: Any,
    classes: Integers,
    seed: int,
    begun: tuple[Block, ...] = (),
) -> State[Any, Any]:
    """The state of a search of the classes (n,) after its first steps, with what they reached; as
    it had `begun` where it asks nothing then, or is at its end by then.

    Raises:
        Paused: it was to pause before.
    """
    state: State[Any, Any] = replace(search.start(subject, config, seed), blocks=begun)
    steps = search.early_after
    if steps is None or steps >= config.steps:
        return state
    state = _advanced(search, subject, state, classes, steps)
    noted = [_with_early(search, state, each) for each in state.blocks]
    return replace(state, blocks=tuple(noted))


def early_of(search: Search, state: State[Any, Any]) -> Early | None:
    """What the first steps reached, and their cost; None where that was not noted."""
    reached = state.early()
    if reached is None or search.early_after is None:
        return None
    searched = int((~np.isnan(reached)).sum())
    return Early(reached=reached, effort=effort_of_first_steps(search, state, searched))


def effort_of_first_steps(search: Search, state: State[Any, Any], classes: int) -> Effort:
    """What the first steps of so many classes cost; nothing where the search asks nothing then."""
    steps = min(search.early_after or 0, state.config.steps)
    first = Block(classes=torch.arange(classes), step=steps, tensors={})
    return search.effort(replace(state, blocks=(first,)))


def _with_early(search: Search, state: State[Any, Any], block: Block) -> Block:
    """The block, with what it has reached if it has just taken the first steps."""
    if block.early is not None or block.step != search.early_after:
        return block
    reached = search.reached(replace(state, blocks=(block,)))
    now = torch.tensor(reached[block.classes.cpu().numpy()], device=block.classes.device)
    return replace(block, early=now)


def blocks_of(
    search: Search, subject: Subject, config: Any, classes: Integers, seed: int
) -> tuple[Block, ...]:
    """How far a search is at its end for the classes (n,): what `run` goes on from."""
    state = begun_early(search, subject, config, classes, seed)
    return _advanced(search, subject, state, classes, config.steps).blocks


def groups_of(
    search: Search, subject: Subject, config: Any, classes: Integers, seed: int
) -> list[Integers]:
    """The classes (n,) in groups that may be searched apart from each other, to the same end."""
    at_once = len(classes)
    if not search.joint:
        at_once = search.at_once(search.start(subject, config, seed))
    return [classes[first : first + at_once] for first in range(0, len(classes), at_once)]


def look_portions(search: Search, config: Any, classes: int) -> list[Integers]:
    """The classes of each brief look at all of so many; none where the search takes no looks."""
    if config.brief is None:
        return []
    size = classes if search.joint else LOOKED_AT_ONCE
    return [np.arange(first, min(first + size, classes)) for first in range(0, classes, size)]


def planned(search: Search, subject: Subject, config: Any, classes: int, seed: int) -> Effort:
    """What a search of so many classes will cost, to the end of these settings."""
    started = search.start(subject, config, seed)
    return search.effort(replace(started, blocks=(_at_its_end(classes, config),)))


def planned_looks(
    searches: Sequence[Search], subject: Subject, configs: Mapping[str, Any], seed: int
) -> int:
    """How many images all brief looks at all classes will show."""
    images = 0
    for search in searches:
        config = configs[search.name]
        if portions := look_portions(search, config, subject.twin.classes):
            started = search.start(subject, config.brief, seed)
            images += sum(_shown_by_a_look(search, started, len(each)) for each in portions)
    return images


def planned_look(search: Search, subject: Subject, config: Any, classes: int, seed: int) -> int:
    """How many images a brief look at so many classes will show, with its brief settings."""
    return _shown_by_a_look(search, search.start(subject, config, seed), classes)


def most_searched(classes: int, screening: ScreenConfig, configs: Mapping[str, Any]) -> int:
    """How many of so many classes are searched to the end at most, by the settings of all searches:
    where the leading ones of their looks differ.
    """
    if not screening.screens(classes):
        return classes
    looks = sum(config.brief is not None for config in configs.values())
    return min(classes, screening.ordinary + screening.leading * looks)


def _shown_by_a_look(search: Search, started: State[Any, Any], classes: int) -> int:
    blocks = _after_a_look(search, started.config, classes)
    return search.effort(replace(started, blocks=blocks)).images


def _going_on(classes: int) -> int:
    """How many of so many classes go on after the first step of a brief look."""
    return -(-classes // HOPEFUL)


def _after_a_look(search: Search, config: Any, classes: int) -> tuple[Block, ...]:
    """How far a brief look at so many classes comes."""
    on = classes if search.joint else _going_on(classes)
    left = Block(classes=torch.arange(on, classes), step=1, tensors={})
    return _at_its_end(on, config), left


def _at_its_end(classes: int, config: Any) -> Block:
    return Block(classes=torch.arange(classes), step=config.steps, tensors={})


def _advanced(
    search: Search, subject: Subject, state: State[Any, Any], classes: Integers, steps: int
) -> State[Any, Any]:
    """The state of a search when these classes have taken so many steps."""
    chosen = torch.tensor(classes, device=subject.twin.device)
    for taken in sorted({0, *(block.step for block in state.blocks if block.step < steps)}):
        if len(left := _at_step(taken, state, chosen)):
            state = search.advance(state, left, steps - taken)
    # a search that finds nothing to search takes no steps, and is over all the same
    if progress.is_pause_wanted() and any(
        len(_at_step(taken, state, chosen)) for taken in range(steps)
    ):
        raise Paused(state.blocks)
    return state


def _at_step(step: int, state: State[Any, Any], classes: torch.Tensor) -> torch.Tensor:
    """Those of the classes (n,) that have taken so many steps; 0 if they have not begun."""
    if step:
        here = [block.classes for block in state.blocks if block.step == step]
        return classes[torch.isin(classes, torch.cat([classes[:0], *here]))]
    begun = [block.classes for block in state.blocks if block.step]
    return classes[~torch.isin(classes, torch.cat([classes[:0], *begun]))]


def stage_of(
    search: Search, begun: tuple[Block, ...] = ()
) -> Stage[[Subject, Any, Integers, int], SearchResult]:
    """The search as a stage, whose results are remembered; it goes on from what had `begun`."""

    def find(subject: Subject, config: Any, classes: Integers, seed: int) -> SearchResult:
        return run(search, subject, config, classes, seed, begun)

    find.__name__ = f"find_{search.name}"
    return Stage(find, search.version)


def look_stage(search: Search, look: Look = look) -> Stage[[Subject, Any, Integers, int], Looked]:
    """The brief look of a search at some classes as a stage, whoever takes it."""

    def find(subject: Subject, config: Any, classes: Integers, seed: int) -> Looked:
        return look(search, subject, config, classes, seed)

    find.__name__ = f"look_{search.name}"
    return Stage(find, 100 + search.version)


def choice_of(
    searches: Sequence[Search], look: Look = look
) -> Stage[[Subject, Mapping[str, Any], ScreenConfig, int], Chosen]:
    """The choice of classes as a stage, with whatever takes the looks."""

    def choose(
        subject: Subject, configs: Mapping[str, Any], screening: ScreenConfig, seed: int
    ) -> Chosen:
        return choose_classes(searches, subject, configs, screening, seed, look)

    choose.__name__ = "choose_classes"
    return Stage(choose, 500 + sum(search.version for search in searches))


def _looked(
    search: Search, subject: Subject, config: Any, seed: int, look: Look
) -> tuple[Floats, Effort]:
    """What brief looks at every class reached (K,), and their cost; 0 of a search that takes
    none.
    """
    count = subject.twin.classes
    portions = look_portions(search, config, count)
    if not portions:
        return np.zeros(count, np.float32), Effort(steps=0, images=0)
    found = []
    for portion in portions:
        if progress.is_pause_wanted():
            raise Paused
        found.append(look(search, subject, config.brief, portion, seed))
    cost = sum((each.effort for each in found), Effort(steps=0, images=0))
    return np.concatenate([each.reached for each in found]), cost
