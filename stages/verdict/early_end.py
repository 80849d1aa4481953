"""Whether a search goes on after its first steps: only if a class stands out by then.

What the whole search says of a class grows out of what its first steps say. Where no class lies
`judge.outlying` deviations above the median by then, hardly any would count for anything at the
end, so the search ends there and says nothing: 0 in the anomaly score, which is never more than the
whole search would give.
Source: successive halving gives up what lags (Jamieson & Talwalkar, AISTATS 2016), here a search
instead of a class; which steps and which index: docs/decisions/every-search-to-its-end.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.searches.search import Early, Effort, SearchResult
from stages.types import Integers
from stages.verdict.score import anomaly_index
from stages.verdict.settings import JudgeConfig

NONE_STANDS_OUT = "no class stood out after its first steps"
"""Why a search that ended early says nothing."""


def stands_out(early: Early, ordinary: Integers, config: JudgeConfig) -> bool:
    """Whether any class stands out from the `ordinary` ones (m,); True where that is unknown."""
    usual = early.reached[ordinary]
    usual = usual[~np.isnan(usual)]
    if not len(usual):
        return True
    index = anomaly_index(early.reached, usual, 0.0)
    return bool(np.nanmax(index) >= config.outlying)


def ended_early(early: Early, names: Sequence[str]) -> SearchResult:
    """The result of a search that ended there: its statistics, by name, are unknown."""
    return silent(len(early.reached), names, NONE_STANDS_OUT, early)


def as_if_ended(found: SearchResult, ordinary: Integers, config: JudgeConfig) -> SearchResult:
    """What a search says that was done to its end: nothing if it would have ended early."""
    if found.early is None or stands_out(found.early, ordinary, config):
        return found
    return ended_early(found.early, tuple(found.statistics))


def silent(
    classes: int, names: Sequence[str], why: str, early: Early | None = None
) -> SearchResult:
    """The result of a search that says nothing of so many classes, for a reason."""
    return SearchResult(
        statistics={name: np.full(classes, np.nan, np.float32) for name in names},
        targets=(),
        effort=early.effort if early else Effort(steps=0, images=0),
        early=early,
        silent=why,
    )
