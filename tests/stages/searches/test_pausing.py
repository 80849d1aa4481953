"""A search that is stopped and gone on with is the search that was never stopped, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn

from stages import progress
from stages.searches import SEARCHES
from stages.searches.blocks import Block
from stages.searches.screen import (
    LOOKED_AT_ONCE,
    Paused,
    ScreenConfig,
    choose_classes,
    planned,
    planned_looks,
    run,
)
from stages.searches.search import Search, SearchResult
from tests.support import twins
from tests.support.planted import by_hand, subject_of
from tests.support.subjects import demo_subject

every_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
SOME = np.array([0, 3, 7])


def after(questions: int) -> Callable[[], bool]:
    """Wants a pause from the question after so many on."""
    asked = count()
    return lambda: next(asked) >= questions


def stopped_and_resumed(search: Search, memory_mb: int, steps: int) -> tuple[SearchResult, int]:
    """What a search says that may take a few steps at a time, and how often it was stopped."""
    settings = replace(search.settings(), memory_mb=memory_mb)
    begun: tuple[Block, ...] = ()
    for stops in count():
        with progress.pausing(after(steps)):
            try:
                return run(search, demo_subject("clean"), settings, SOME, 0, begun), stops
            except Paused as paused:
                begun = paused.blocks
    raise AssertionError


@pytest.mark.parametrize(
    ("search", "memory_mb"),
    [
        pytest.param(
            *(search, memory_mb),
            id=f"{search.name}, {pace}",
            marks=[pytest.mark.nightly] if search.joint and memory_mb == 1 else [],
        )
        for search in SEARCHES
        for memory_mb, pace in ((1, "a class at a time"), (512, "all at once"))
    ],
)
def test_a_stop_changes_nothing(search: Search, memory_mb: int) -> None:
    """Neither a statistic nor what it cost, however often it is stopped."""
    settings = replace(search.settings(), memory_mb=memory_mb)
    whole = run(search, demo_subject("clean"), settings, SOME, 0)

    pieces, stops = stopped_and_resumed(search, memory_mb, 5)

    assert stops > 0 or settings.steps == 1
    assert pieces.effort == whole.effort
    assert pieces.targets == whole.targets
    for name, values in whole.statistics.items():
        assert np.array_equal(pieces.statistics[name], values, equal_nan=True), name


@every_search
def test_nothing_begins_when_the_time_is_over(search: Search) -> None:
    """It stops before its first step, and says so."""
    if search.settings().steps == 1:
        pytest.skip("it takes no time")

    with progress.pausing(lambda: True), pytest.raises(Paused) as paused:
        run(search, demo_subject("clean"), search.settings(), SOME, 0)

    assert sum(block.step for block in paused.value.blocks) == 0


@every_search
def test_what_it_will_cost_is_known_before(search: Search) -> None:
    """Exactly: by the whole search and by the brief look."""
    subject, settings = demo_subject("clean"), search.settings()
    for config in filter(None, (settings, settings.brief)):
        expected = planned(search, subject, config, len(SOME), 0)

        if not search.joint:
            assert run(search, subject, config, SOME, 0).effort == expected
    if search.joint:
        whole = run(search, subject, settings, np.arange(10), 0)
        assert whole.effort == planned(search, subject, settings, 10, 0)


@every_search
def test_a_search_with_nothing_to_search_comes_to_its_end(search: Search) -> None:
    """Vectors cannot be bent, for one: as long as there is time, that is no stop."""
    images = torch.rand(40, 256, generator=torch.Generator().manual_seed(0))
    twin = by_hand(nn.Linear(256, 10), 10)
    with torch.no_grad():
        labels = twin.module(images).argmax(1)
    subject = subject_of(twin, images, labels)
    if not twin.sites and search.name == "neuron_noise":
        pytest.skip("it has no sites")

    with progress.pausing(lambda: False):
        result = run(search, subject, search.settings(), SOME, 0)

    assert list(result.statistics) == [each.name for each in search.statistics]


def test_what_the_looks_will_cost_is_known_before() -> None:
    """Of all searches together."""
    subject, configs = twins.subject(), {each.name: each.settings() for each in SEARCHES}
    few = ScreenConfig(all_up_to=4, leading=2, ordinary=3)

    chosen = choose_classes(SEARCHES, subject, configs, few, 0)

    shown = sum(effort.images for effort in chosen.looked.values())
    assert shown == planned_looks(SEARCHES, subject, configs, 0) > 0
    assert subject.twin.classes <= LOOKED_AT_ONCE


def test_a_screen_stops_between_looks() -> None:
    """Like a search."""
    configs = {each.name: each.settings() for each in SEARCHES}
    few = ScreenConfig(all_up_to=4, leading=2, ordinary=3)

    with progress.pausing(lambda: True), pytest.raises(Paused):
        choose_classes(SEARCHES, twins.subject(), configs, few, 0)
