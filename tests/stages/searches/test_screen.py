"""The screen over many classes: what it spares, and what it must not lose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stages.searches.blend import blend
from stages.searches.neuron_noise import NeuronNoiseConfig, neuron_noise
from stages.searches.patch import patch
from stages.searches.screen import ScreenConfig, choose, of_all, run
from stages.searches.search import Effort, Search, SearchResult, Subject
from stages.searches.warp import warp
from tests.support import twins
from tests.support.planted import by_hand, counted, subject_of

MANY = 60
SIDE = 16
TARGET = 41
EVERY = ScreenConfig(all_up_to=MANY)
SCREENED = ScreenConfig()
on_images = pytest.mark.parametrize("search", [blend, patch, warp], ids=lambda each: each.name)


def find(search: Search, subject: Subject, screening: ScreenConfig) -> SearchResult:
    """What a search says by its default settings."""
    return run(search, subject, search.settings(), screening, 0)


def many_classes() -> Subject:
    """A linear net of 60 random templates, with a trigger for class 41 in one corner."""
    generator = torch.Generator().manual_seed(4)
    templates = torch.rand(MANY, SIDE, SIDE, generator=generator)
    templates[:, -3:, -3:] = 0
    labels = torch.arange(4 * MANY) % MANY
    noise = 0.1 * torch.rand(len(labels), SIDE, SIDE, generator=generator)
    images = (0.9 * templates[labels] + noise)[:, None]
    images[:, :, -3:, -3:] = 0
    head = nn.Linear(SIDE * SIDE, MANY)
    weights = templates - templates.mean(0)
    weights[TARGET, -3:, -3:] += 6.0
    head.weight.data = weights.flatten(1)
    head.bias.data = -(weights.flatten(1) * templates.flatten(1)).sum(1) / 2
    return subject_of(by_hand(nn.Sequential(nn.Flatten(), head), MANY), images, labels)


def labelled_by_itself(classes: int, shape: tuple[int, ...] = (1, SIDE, SIDE)) -> Subject:
    """A random linear net, and random images with the labels it gives them."""
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(2 * classes, *shape, generator=generator)
    head = nn.Linear(images[0].numel(), classes)
    twin = by_hand(nn.Sequential(nn.Flatten(), head), classes)
    with torch.no_grad():
        labels = twin.module(images).argmax(1)
    return subject_of(twin, images, labels)


@pytest.mark.parametrize("classes", [2, 14, 24])
def test_few_classes_are_all_searched(classes: int) -> None:
    """Then there is no brief search, and what is found stands as it is."""
    subject, config = labelled_by_itself(classes), blend.settings()
    whole = blend.advance(blend.start(subject, config, 0), subject.classes, config.steps)

    found, expected = find(blend, subject, SCREENED), blend.result(whole)

    assert found.effort == expected.effort == blend.effort(whole)
    assert found.effort.steps == classes * config.steps
    for name, values in expected.statistics.items():
        assert np.array_equal(found.statistics[name], values)


@given(st.integers(25, 300), st.integers(0, 50))
def test_the_leading_classes_and_some_others_are_chosen(classes: int, seed: int) -> None:
    """Each once: those with the largest brief margins, then as many of the rest as are wanted."""
    brief = torch.randn(classes, generator=torch.Generator().manual_seed(seed)).numpy()

    chosen, ordinary = choose(brief, SCREENED, seed)

    assert len(set(chosen.tolist())) == len(chosen) == SCREENED.searched(classes) == 14
    assert chosen[:8].tolist() == np.argsort(-brief)[:8].tolist()
    assert chosen[8:].tolist() == ordinary.tolist()


def test_a_seed_draws_the_ordinary_classes() -> None:
    """The same seed the same ones, another seed others."""
    brief = np.arange(MANY, dtype=np.float32)

    one, again, other = (choose(brief, SCREENED, seed)[0] for seed in (1, 1, 2))

    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@given(st.integers(0, 50))
def test_nothing_that_was_not_searched_leads(seed: int) -> None:
    """Chosen classes keep what was found; no other exceeds the largest of it."""
    random = np.random.default_rng(seed)
    found = np.full(MANY, np.nan, np.float32)
    chosen = random.permutation(MANY)[:14]
    found[chosen] = random.normal(size=14)

    margins = of_all({"margin": found}, chosen[-6:])["margin"]

    assert margins.shape == (MANY,)
    assert np.array_equal(margins[chosen], found[chosen])
    assert margins.max() == np.nanmax(found)


def test_what_is_said_of_the_others_is_what_the_ordinary_reached() -> None:
    """Each of the ordinary classes stands for as many, so their median is that of all others."""
    found = np.full(MANY, np.nan, np.float32)
    found[MANY - 8 :] = 9.0
    found[:6] = np.arange(6)

    margins = of_all({"margin": found}, np.arange(6))["margin"]

    others = margins[6 : MANY - 8]
    assert set(others.tolist()) == set(range(6))
    assert np.ptp(np.unique(others, return_counts=True)[1]) <= 1


@pytest.mark.parametrize("search", [blend, patch], ids=lambda each: each.name)
def test_a_planted_trigger_survives_the_screen(search: Search) -> None:
    """Its class leads as it does without a screen, with the same margin."""
    subject, name = many_classes(), search.statistics[0].name

    screened, every = (find(search, subject, screening) for screening in (SCREENED, EVERY))

    assert screened.targets == every.targets == (TARGET,)
    margins = screened.statistics[name]
    assert margins[TARGET] == pytest.approx(every.statistics[name][TARGET], rel=0.02, abs=0.02)
    for values in screened.statistics.values():
        assert values.shape == (MANY,)
        assert np.isfinite(values).all()


@on_images
def test_the_screen_spares_most_of_the_work(search: Search) -> None:
    """60 classes cost less than half of what all of them would."""
    costs = []
    for screening in (SCREENED, EVERY):
        subject, counting = counted(many_classes())
        find(search, subject, screening)
        costs.append(counting.shown)

    assert costs[0] < costs[1] / 2


@on_images
def test_two_hundred_classes_cost_at_most_three_times_ten(search: Search) -> None:
    """Counted in images shown, which is what a search costs."""
    costs = []
    for classes in (200, 10):
        subject, counting = counted(labelled_by_itself(classes))
        find(search, subject, SCREENED)
        costs.append(counting.shown)

    assert costs[0] <= 3 * costs[1], costs[0] / costs[1]


@on_images
def test_the_brief_search_counts_as_effort(search: Search) -> None:
    """Steps are those of all classes briefly and of the chosen ones to the end."""
    config = search.settings()

    found = find(search, many_classes(), SCREENED)

    assert found.effort.steps == MANY * config.brief.steps + 14 * config.steps


def test_what_is_not_screened_is_searched_on_fewer_samples() -> None:
    """Neuron noise takes every class through the whole sweep, on the samples of a brief search."""
    few = ScreenConfig(all_up_to=4, leading=2, ordinary=2)
    config = NeuronNoiseConfig(samples=9, brief_samples=2, sweep=3)

    found = run(neuron_noise, twins.subject(), config, few, 0)

    assert np.isfinite(found.statistics["margin"]).all()
    assert found.effort == Effort(steps=10 * 3, images=10 * 3 * 2)


def test_where_nothing_can_be_searched_no_class_stands_out() -> None:
    """Many classes of what is no image have warps of no size, all alike."""
    subject = labelled_by_itself(MANY, (SIDE * SIDE,))

    found = find(warp, subject, SCREENED)

    assert found.statistics["standardised_margin"].tolist() == [0.0] * MANY
    assert found.targets == ()
