"""Which classes are searched to the end where there are many, and what is said of the others.

Up to `all_up_to` classes all of them are. Beyond that every class gets a brief search; those that
lead it get the whole one, and so do some that are drawn at random and stand for the ordinary. What
is said of a class that is not searched to the end is what was found for one of the ordinary, so
that medians and deviations over the classes keep their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from stages.searches.search import Search, SearchResult, Subject
from stages.stage import Stage
from stages.types import Floats, Integers


@dataclass(frozen=True, kw_only=True)
class ScreenConfig:
    """Settings of the screen."""

    all_up_to: int = 24
    """Number of classes up to which all of them are searched to the end."""
    leading: int = 8
    """Classes that lead the brief search and are searched to the end."""
    ordinary: int = 6
    """Classes drawn at random that are searched to the end."""

    def screens(self, classes: int) -> bool:
        """Whether so many classes are screened."""
        return classes > max(self.all_up_to, self.leading + self.ordinary)

    def searched(self, classes: int) -> int:
        """How many of so many classes are searched to the end."""
        return self.leading + self.ordinary if self.screens(classes) else classes


def run(
    search: Search, subject: Subject, config: Any, screening: ScreenConfig, seed: int
) -> SearchResult:
    """What a search says of every class, searched to the end or screened.

    Deterministic for a given seed, which draws the samples, the starts and the ordinary classes.
    The twin is left as it was.
    """
    if not screening.screens(subject.twin.classes):
        return _finished(search, subject, config, subject.classes, seed)
    if not search.screened:
        return _finished(search, subject, config.brief, subject.classes, seed)
    state = search.start(subject, config.brief, seed)
    brief = search.advance(state, subject.classes, config.brief.steps)
    reached = search.reached(brief)
    if np.isnan(reached).all():  # there is nothing to search, as in what is no image
        return search.result(brief)
    chosen, ordinary = choose(reached, screening, seed)
    classes = torch.as_tensor(chosen, device=subject.twin.device)
    whole = _finished(search, subject, config, classes, seed)
    effort = search.effort(brief) + whole.effort
    return replace(whole, statistics=of_all(whole.statistics, ordinary), effort=effort)


def stage_of(search: Search) -> Stage[[Subject, Any, ScreenConfig, int], SearchResult]:
    """The search as a stage, whose results are remembered."""

    def find(subject: Subject, config: Any, screening: ScreenConfig, seed: int) -> SearchResult:
        return run(search, subject, config, screening, seed)

    find.__name__ = f"find_{search.name}"
    return Stage(find, search.version)


def choose(reached: Floats, config: ScreenConfig, seed: int) -> tuple[Integers, Integers]:
    """The classes (n,) to search to the end by what a brief search reached (K,), and those of them
    that are ordinary, drawn at random.
    """
    order = np.argsort(-reached, kind="stable")
    leading, others = order[: config.leading], np.sort(order[config.leading :])
    drawn = np.random.default_rng(seed).permutation(len(others))[: config.ordinary]
    ordinary: Integers = others[drawn]
    return np.concatenate([leading, ordinary]), ordinary


def of_all(statistics: Mapping[str, Floats], ordinary: Integers) -> dict[str, Floats]:
    """Statistics (K,) in which classes that were not searched have the values of ordinary ones."""
    return {name: _filled(values, ordinary) for name, values in statistics.items()}


def _filled(values: Floats, ordinary: Integers) -> Floats:
    turns = np.arange(len(values)) % len(ordinary)
    filled: Floats = np.where(np.isnan(values), values[ordinary][turns], values)
    return filled


def _finished(
    search: Search, subject: Subject, config: Any, classes: torch.Tensor, seed: int
) -> SearchResult:
    state = search.start(subject, config, seed)
    return search.result(search.advance(state, classes, config.steps))
