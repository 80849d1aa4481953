"""What is searched, and which searches need not be done, or not to their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from stages.searches.screen import Chosen
from stages.searches.search import Early, Search, SearchResult, Subject
from stages.stage import Stage
from stages.types import Integers
from stages.verdict.early_end import as_if_ended, ended_early, silent, stands_out

NOT_ALONE = "it counts only beside references, and there are none"
"""Why a search says nothing that is not done."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much is searched: classes `also`, beside those that looks choose; the `whole` of every
    search, as of a model that others are compared with, or a model `alone`, without references.
    """

    also: Sequence[int] = ()
    whole: bool = False
    alone: bool = False

    def spares(self, search: Search) -> bool:
        """Whether a search is not done, as nothing that it says would count."""
        return self.alone and all(each.only_beside for each in search.statistics)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What is searched, which classes of it, how much, and where results are kept."""

    subject: Subject
    config: ScanConfig
    chosen: Chosen
    store: Store
    scope: Scope

    def arguments(self, search: Search) -> tuple[Subject, Any, Integers, int]:
        """What the stages of a search take."""
        config = self.config
        return self.subject, config.searches[search.name], self.chosen.classes, config.seed

    def spared(self, search: Search) -> SearchResult:
        """The result of a search that is not done."""
        names = tuple(each.name for each in search.statistics)
        return silent(self.subject.twin.classes, names, NOT_ALONE)

    def end(self, early: Early, search: Search) -> SearchResult | None:
        """The result of a search that ends after its first steps; None if it goes on."""
        if not self._may_end or stands_out(early, self.chosen.ordinary, self.config.judge):
            return None
        return ended_early(early, tuple(each.name for each in search.statistics))

    def said(self, found: SearchResult) -> SearchResult:
        """What a search says that was done to its end, as one that may have ended early."""
        if not self._may_end:
            return found
        return as_if_ended(found, self.chosen.ordinary, self.config.judge)

    def kept_end(self, search: Search) -> SearchResult | None:
        """The result of a search that ended early before; None if none is kept."""
        if search.early_after is None or not self._may_end:
            return None
        early = self.store.kept(_early_stage(search), *self.arguments(search))
        return None if early is None else self.end(early, search)

    def keep_end(self, early: Early, search: Search) -> None:
        """Keeps what the first steps of a search reached that ends there."""
        self.store.remember(_early_stage(search), early, *self.arguments(search))

    @property
    def _may_end(self) -> bool:
        """Whether a search may end early: of two or three classes none can stand out."""
        few = self.config.calibration.is_few(self.subject.twin.classes)
        return not self.scope.whole and not few


def _early_stage(search: Search) -> Stage[[Subject, Any, Integers, int], Early]:
    """The first steps of a search as a stage, for their place in the store."""

    def reach(subject: Subject, config: Any, classes: Integers, seed: int) -> Early:
        raise NotImplementedError  # it is kept by hand

    reach.__name__ = f"early_{search.name}"
    return Stage(reach, search.version)
