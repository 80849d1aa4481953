"""The screen over many classes: what it spares, and what it must not lose."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stages.searches import SEARCHES
from stages.searches.blend import blend
from stages.searches.head_probe import head_probe
from stages.searches.patch import patch, small_patch
from stages.searches.permutation import permutation
from stages.searches.screen import (
    HOPEFUL,
    Chosen,
    ScreenConfig,
    choose_classes,
    leading,
    look,
    run,
)
from stages.searches.search import Effort, Search, Subject
from stages.searches.tone import tone
from stages.searches.warp import warp
from stages.types import Floats
from tests.support import twins
from tests.support.planted import by_hand, counted, subject_of
from tests.support.subjects import demo_subject

MANY = 60
SIDE = 16
TARGET = 41
SCREEN = ScreenConfig()
FEW = ScreenConfig(all_up_to=4, leading=2, ordinary=3)
ON_IMAGES: tuple[Search, ...] = (blend, patch, warp, tone)
on_images = pytest.mark.parametrize("search", ON_IMAGES, ids=lambda each: each.name)


def choose(
    searches: tuple[Search, ...], subject: Subject, screening: ScreenConfig = SCREEN, seed: int = 0
) -> Chosen:
    """The classes that are searched to the end, by the searches' default settings."""
    configs = {search.name: search.settings() for search in searches}
    return choose_classes(searches, subject, configs, screening, seed)


def brief(search: Search, subject: Subject, seed: int = 0) -> Floats:
    """What a brief look at every class reaches (K,), all of them to its end."""
    config = search.settings().brief
    state = search.advance(search.start(subject, config, seed), subject.classes, config.steps)
    return search.reached(state)


def first_step(search: Search, subject: Subject) -> Floats:
    """What every class reaches (K,) by the first step of a brief look."""
    started = search.start(subject, search.settings().brief, 0)
    return search.reached(search.advance(started, subject.classes, 1))


@cache
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


@cache
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
    """Then nobody takes a brief look, and all are ordinary, or those with samples if most are."""
    subject = labelled_by_itself(classes)
    found = choose(ON_IMAGES, subject)

    assert found.classes.tolist() == list(range(classes))
    covered = np.unique(subject.samples.labels).tolist()
    most = 2 * len(covered) >= classes
    assert found.ordinary.tolist() == (covered if most else list(range(classes)))
    assert found.looked == {}


@pytest.mark.parametrize(
    ("classes", "all_up_to", "ordinary", "screens"),
    [(24, 24, 10, False), (25, 24, 10, True), (10, 4, 10, False), (11, 4, 10, True)],
)
def test_there_is_a_screen_where_it_spares_classes(
    classes: int, all_up_to: int, ordinary: int, screens: bool
) -> None:
    """Beyond what is searched anyway, and where there are more classes than ordinary ones."""
    assert ScreenConfig(all_up_to=all_up_to, ordinary=ordinary).screens(classes) is screens


@given(st.integers(2, 300), st.integers(0, 50), st.integers(1, 5))
def test_the_leading_classes_are_those_that_reached_furthest(
    classes: int, seed: int, count: int
) -> None:
    """As many as are wanted, each once, the furthest first."""
    reached = np.random.default_rng(seed).normal(size=classes).astype(np.float32)

    found = leading(reached, count)

    assert len(set(found)) == len(found) == min(count, classes)
    assert np.array_equal(reached[found], np.sort(reached)[::-1][:count])


@pytest.mark.parametrize("reached", [[1.0] * 30, [0.0] * 30, [np.nan] * 30])
def test_where_all_reach_the_same_nobody_leads(reached: list[float]) -> None:
    """Nor where a search can look at nothing."""
    assert leading(np.array(reached, np.float32), 2) == []


def test_the_leaders_of_every_search_are_chosen() -> None:
    """Each search's own first one, so no class is dropped by one search alone; beside them there
    are the ordinary ones and no others.
    """
    subject = many_classes()

    found = choose((*ON_IMAGES, head_probe), subject)

    looks = [
        look(search, subject, search.settings().brief, subject.classes.numpy(), 0)
        for search in (*ON_IMAGES, head_probe)
    ]
    leaders = [leading(each.reached, SCREEN.leading) for each in looks]
    expected = {each for some in leaders for each in some} | set(found.ordinary.tolist())
    assert found.classes.tolist() == sorted(expected)
    assert all(len(some) == SCREEN.leading for some in leaders)


def test_all_searches_look_at_any_model() -> None:
    """Together they choose their leaders: so many at most of each, beside three ordinary ones."""
    found = choose(SEARCHES, twins.subject(), FEW)

    assert len(found.ordinary) == 3
    assert set(found.ordinary) <= set(found.classes) <= set(range(10))
    assert list(found.looked) == [search.name for search in SEARCHES]
    assert not found.classes.flags.writeable
    assert not found.ordinary.flags.writeable


@pytest.mark.parametrize("seed", range(5))
def test_the_ordinary_are_drawn_before_anything_is_known(seed: int) -> None:
    """A seed draws the same ones whatever the model is and whichever searches look."""
    models = many_classes(), labelled_by_itself(MANY)

    drawn = [
        choose(searches, subject, seed=seed).ordinary.tolist()
        for subject in models
        for searches in ((), (tone,), (warp, head_probe))
    ]

    assert all(each == drawn[0] for each in drawn)
    assert len(set(drawn[0])) == SCREEN.ordinary
    assert drawn[0] == sorted(drawn[0])
    assert drawn[0] != choose((), models[0], seed=seed + 1).ordinary.tolist()


def test_every_class_is_ordinary_as_often() -> None:
    """Over many seeds each of 60 classes is among the ten in a sixth of the draws."""
    draws = [choose((), many_classes(), seed=seed).ordinary for seed in range(600)]

    often = np.bincount(np.concatenate(draws), minlength=MANY)

    # 100 on average, with a standard deviation of 9.1; four of these for 60 classes
    assert np.abs(often - 100).max() < 4 * 9.1


@pytest.mark.parametrize("search", [permutation, small_patch], ids=lambda each: each.name)
def test_a_search_without_a_brief_look_takes_none(search: Search) -> None:
    """It names no leader, and has cost nothing."""
    found = choose((search,), many_classes())

    assert search.settings().brief is None
    assert np.array_equal(found.classes, found.ordinary)
    assert found.looked == {search.name: Effort(steps=0, images=0)}


def test_what_costs_nothing_is_a_brief_look_itself() -> None:
    """The head probe looks at all classes at once, by its usual settings, and shows no image."""
    subject = many_classes()

    found = choose((head_probe,), subject)

    assert set(leading(brief(head_probe, subject), SCREEN.leading)) <= set(found.classes)
    assert found.looked["head_probe"].images == 0


@on_images
def test_the_brief_look_is_told_as_effort(search: Search) -> None:
    """Steps are one of all classes and the others of those that go on; the images are those that
    the net was shown.
    """
    subject, counting = counted(many_classes())

    looked = choose((search,), subject).looked[search.name]

    assert looked.steps == MANY + -(-MANY // HOPEFUL) * (search.settings().brief.steps - 1)
    assert 0 < looked.images <= counting.shown


@on_images
def test_the_hopeful_go_on_after_the_first_step_of_a_look(search: Search) -> None:
    """The classes that reached furthest by then; they reach what they reach among all classes, and
    the others keep what they reached.
    """
    subject, config = many_classes(), search.settings().brief

    reached = look(search, subject, config, subject.classes.numpy(), 0).reached

    early = first_step(search, subject)
    hopeful = np.argsort(-early, kind="stable")[: -(-MANY // HOPEFUL)]
    others = np.setdiff1d(np.arange(MANY), hopeful)
    np.testing.assert_allclose(reached[hopeful], brief(search, subject)[hopeful], rtol=1e-3)
    np.testing.assert_array_equal(reached[others], early[others])


@pytest.mark.parametrize("search", [blend, patch, small_patch], ids=lambda each: each.name)
def test_a_planted_trigger_survives_the_screen(search: Search) -> None:
    """Its class is chosen, by its own look or by that of the larger patch, and leads as it does
    without a screen, with the same margin.
    """
    subject, name = many_classes(), search.statistics[0].name
    config, every = search.settings(), subject.classes.numpy()

    chosen = choose((patch if search is small_patch else search,), subject)
    screened, whole = (run(search, subject, config, each, 0) for each in (chosen.classes, every))

    assert screened.targets == whole.targets == (TARGET,)
    values = screened.statistics[name]
    assert values[TARGET] == pytest.approx(whole.statistics[name][TARGET], rel=0.02, abs=0.02)


@on_images
def test_no_value_is_made_up(search: Search) -> None:
    """Classes that are searched to the end get what they get among all; of others nothing is
    said.
    """
    subject, config = labelled_by_itself(30), search.settings()
    some = np.array([2, 7, 8, 20, 29])

    found = run(search, subject, config, some, 0)

    whole = run(search, subject, config, subject.classes.numpy(), 0)
    for name, values in found.statistics.items():
        np.testing.assert_allclose(values[some], whole.statistics[name][some], rtol=0.02, atol=0.02)
        assert np.isnan(np.delete(values, some)).all()


@pytest.mark.parametrize("search", [blend, tone, warp, patch], ids=lambda each: each.name)
def test_medians_of_the_ordinary_are_close_to_those_of_all(search: Search) -> None:
    """On the clean demo model half of the classes, drawn at random, have nearly the median of all:
    within about its standard error, on average over the draws.
    """
    subject, half = demo_subject("clean"), ScreenConfig(all_up_to=4, ordinary=5)
    found = run(search, subject, search.settings(), subject.classes.numpy(), 0)
    draws = [choose((), subject, half, seed).ordinary for seed in range(40)]

    for name, values in found.statistics.items():
        away = [abs(np.median(values[each]) - np.median(values)) for each in draws]
        # of five normal values the median has 1.25 / √5 = 0.56 standard deviations; of skewed more
        assert np.mean(away) < 0.7 * values.std(), name


@on_images
def test_the_screen_spares_most_of_the_work(search: Search) -> None:
    """60 classes cost less than three quarters of what all of them would, with the ordinary ones
    and the leaders of all searches.
    """
    chosen = choose(ON_IMAGES, many_classes()).classes
    costs = []
    for classes in (chosen, np.arange(MANY)):
        subject, counting = counted(many_classes())
        run(search, subject, search.settings(), classes, 0)
        costs.append(counting.shown)
    subject, counting = counted(many_classes())
    choose((search,), subject)

    assert len(chosen) <= SCREEN.ordinary + SCREEN.leading * len(ON_IMAGES)
    assert costs[0] + counting.shown < 0.75 * costs[1]


@pytest.mark.parametrize("classes", [60, 200])
def test_many_classes_cost_a_few_times_what_ten_do(classes: int) -> None:
    """All searches together: brief looks at all classes, and as many searched to the end as there
    are leaders and ordinary ones. Counted in images shown, which is what a search costs.
    """
    costs = []
    for count in (classes, 10):
        subject, counting = counted(labelled_by_itself(count))
        chosen = choose(ON_IMAGES, subject).classes
        for search in (*ON_IMAGES, small_patch):
            run(search, subject, search.settings(), chosen, 0)
        costs.append(counting.shown)

    assert costs[0] <= 2.5 * costs[1], costs[0] / costs[1]


def test_where_nothing_can_be_searched_no_class_stands_out() -> None:
    """Many classes of what is no image have warps of no size: nobody leads, and all are alike."""
    subject = labelled_by_itself(MANY, (SIDE * SIDE,))

    chosen = choose((warp,), subject)
    found = run(warp, subject, warp.settings(), chosen.classes, 0)

    assert np.array_equal(chosen.classes, chosen.ordinary)
    assert found.statistics["standardised_margin"].tolist() == [0.0] * MANY
    assert found.targets == ()
