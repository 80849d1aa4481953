"""What a scan of many classes costs is put together from what was timed."""

from __future__ import annotations

import pytest

from benchmarks.speed import Costs
from pipeline.config import ScanConfig
from stages.searches import SEARCHES
from stages.searches.screen import ScreenConfig, most_searched

SETTINGS = ScanConfig().searches


def test_few_classes_are_all_searched_to_the_end() -> None:
    """Up to the screen's number no look is taken."""
    screening, costs = ScreenConfig(), Costs(joint=5.0, whole=2.0, brief=0.5)

    assert most_searched(screening.all_up_to, screening, SETTINGS) == screening.all_up_to
    assert costs.of(10, screening) == pytest.approx(5.0 + 10 * 2.0)


def test_many_classes_are_looked_at_and_some_are_searched() -> None:
    """Each class costs a look; the ordinary and what leads in any search cost a whole search."""
    screening, costs = ScreenConfig(), Costs(joint=5.0, whole=2.0, brief=0.5)
    looking = sum(each.settings().brief is not None for each in SEARCHES)

    searched = most_searched(1000, screening, SETTINGS)

    assert searched == screening.ordinary + screening.leading * looking
    assert costs.of(1000, screening) == pytest.approx(5.0 + 1000 * 0.5 + searched * 2.0)
