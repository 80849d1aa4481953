"""Which classes are searched to the end where there are many, and what stands for the ordinary.

Up to `all_up_to` classes all of them are searched to the end, by every search. Beyond that every
search takes a brief look at every class. Whatever leads in any of them is searched to the end by
all, so no class is dropped by one search alone; and so are some classes drawn at random before
anything is known of them. Those stand for the ordinary: medians and deviations over the classes are
theirs alone. Of a class that is not searched to the end nothing is said. A class without samples of
its own is searched like any other, and where most classes have some it never stands for the
ordinary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.later import torch
from stages.searches.search import Effort, Search, SearchResult, Subject
from stages.settings import Classes, settings
from stages.stage import Stage
from stages.types import Floats, Integers, freeze


@settings
class ScreenConfig:
    """Settings of the screen."""

    all_up_to: Classes = 24
    """Number of classes up to which all of them are searched to the end."""
    leading: Classes = 2
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


def choose_classes(
    searches: Sequence[Search],
    subject: Subject,
    configs: Mapping[str, Any],
    screening: ScreenConfig,
    seed: int,
) -> Chosen:
    """All classes, or those that lead a brief look of any search and some drawn at random.

    Deterministic for a given seed. The twin is left as it was.
    """
    count = subject.twin.classes
    alike = [later for later, _ in subject.clean.alike]
    everything = np.setdiff1d(np.arange(count), alike)
    covered = everything[np.isin(everything, subject.samples.labels)]
    usual = covered if 2 * len(covered) >= len(everything) else everything
    if not screening.screens(count):
        return Chosen(classes=everything, ordinary=usual, looked={})
    drawn = np.random.default_rng(seed).permutation(count)
    ordinary = np.sort(drawn[np.isin(drawn, usual)][: screening.ordinary])
    classes, looked = set(ordinary.tolist()), {}
    for search in searches:
        reached, looked[search.name] = _look(search, subject, configs[search.name], seed)
        classes |= set(leading(reached, screening.leading)) - set(alike)
    return Chosen(classes=np.array(sorted(classes)), ordinary=ordinary, looked=looked)


def leading(reached: Floats, count: int) -> list[int]:
    """The classes that reached furthest (K,); none where all reached the same, or nothing."""
    if np.isnan(reached).any() or np.ptp(reached) == 0:
        return []
    order: list[int] = np.argsort(-reached, kind="stable")[:count].tolist()
    return order


def run(
    search: Search, subject: Subject, config: Any, classes: Integers, seed: int
) -> SearchResult:
    """What a search says of the classes (n,), searched to the end; NaN of all others.

    Deterministic for a given seed, which draws the samples and the starts. The twin is left as it
    was.
    """
    chosen = torch.tensor(classes, device=subject.twin.device)
    state = search.start(subject, config, seed)
    return search.result(search.advance(state, chosen, config.steps))


def stage_of(search: Search) -> Stage[[Subject, Any, Integers, int], SearchResult]:
    """The search as a stage, whose results are remembered."""

    def find(subject: Subject, config: Any, classes: Integers, seed: int) -> SearchResult:
        return run(search, subject, config, classes, seed)

    find.__name__ = f"find_{search.name}"
    return Stage(find, search.version)


def choice_of(
    searches: Sequence[Search],
) -> Stage[[Subject, Mapping[str, Any], ScreenConfig, int], Chosen]:
    """The choice of classes as a stage."""

    def choose(
        subject: Subject, configs: Mapping[str, Any], screening: ScreenConfig, seed: int
    ) -> Chosen:
        return choose_classes(searches, subject, configs, screening, seed)

    choose.__name__ = "choose_classes"
    return Stage(choose, 200 + sum(search.version for search in searches))


def _look(search: Search, subject: Subject, config: Any, seed: int) -> tuple[Floats, Effort]:
    """What a brief look at every class reached (K,), and its cost; a joint search looks later."""
    state = search.start(subject, config.brief, seed)
    if search.joint and config.brief.steps > 1:
        return np.zeros(subject.twin.classes, np.float32), search.effort(state)
    state = search.advance(state, subject.classes, config.brief.steps)
    return search.reached(state), search.effort(state)
