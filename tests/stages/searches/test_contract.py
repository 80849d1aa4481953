"""What every registered search must hold to, whatever it looks for."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch

from stages.searches import SEARCHES, margins
from stages.searches.probe import probe
from stages.searches.screen import Chosen, run
from stages.searches.search import AttackSuccess, Search, SearchResult, Subject
from stages.searches.success import evaluation_rows
from stages.types import Floats, Integers
from stages.verdict.calibration import shipped
from stages.verdict.profile import profile_of
from stages.verdict.score import critical_value, evidence
from tests.support import brief_searches
from tests.support.planted import corner, planted
from tests.support.subjects import TARGET, demo_subject, next_class, planted_subject

every_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
ALL, SOME = np.arange(10), np.array([1, 3, 4, 7])
JOINT = "it searches for all classes at once"


@cache
def found(search: Search, model: str = "clean") -> SearchResult:
    """What a search says of a demo model by its default settings."""
    return run(search, demo_subject(model), search.settings(), ALL, 0)


@cache
def briefly(search: Search, seed: int = 0) -> SearchResult:
    """What a search says of the clean demo model by those settings."""
    return run(search, demo_subject("clean"), brief_searches.of(search), ALL, seed)


def equal(one: SearchResult, other: SearchResult) -> bool:
    """Whether all statistics are the same, bit for bit."""
    return all(
        np.array_equal(values, other.statistics[name], equal_nan=True)
        for name, values in one.statistics.items()
    )


def shows_images(search: Search) -> bool:
    """Whether it shows the net any image, so that something may carry images somewhere."""
    return found(search).effort.images > 0


def planted_for(search: Search) -> Subject:
    """A net with a backdoor of the kind that the search is for; of a head alone if it sees no more.

    Its target is `TARGET`, or `next_class` for a search that maps every class to another.
    """
    if not shows_images(search):
        return planted(corner())
    trigger, mapping = found(search).trigger, found(search).mapping
    return planted_subject(type(trigger) if trigger else None, all_to_all=mapping is not None)


@every_search
def test_it_says_one_number_per_class_and_statistic(search: Search) -> None:
    """It gives what it announces: every statistic, finite, one number for each class, and the same
    for all where it is said of the whole model.
    """
    result = found(search)

    assert list(result.statistics) == [spec.name for spec in search.statistics]
    for spec in search.statistics:
        values = result.statistics[spec.name]
        assert values.shape == (10,)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert not spec.whole or len(set(values.tolist())) == 1
    assert all(spec.name and spec.unit and spec.meaning for spec in search.statistics)


@every_search
def test_it_is_deterministic(search: Search) -> None:
    """The same seed gives the same numbers; another one draws anew."""
    again = run(search, demo_subject("clean"), brief_searches.of(search), ALL, 0)

    assert equal(briefly(search), again)
    assert not equal(briefly(search), briefly(search, seed=1))


@every_search
def test_it_leaves_the_twin_as_it_was(search: Search) -> None:
    """Weights, mode and gradients of the twin do not change."""
    module = demo_subject("clean").twin.module
    before = {name: each.clone() for name, each in module.state_dict().items()}

    run(search, demo_subject("clean"), brief_searches.of(search), ALL, 2)

    assert not module.training
    assert all(each.grad is None and not each.requires_grad for each in module.parameters())
    assert all(torch.equal(each, before[name]) for name, each in module.state_dict().items())


@every_search
def test_it_finds_a_planted_trigger_of_its_own_kind(search: Search) -> None:
    """In a net that learnt a trigger of its kind, it leads to the target, or from every class to
    its own, and what it recovers carries most images there.
    """
    subject = planted_for(search)

    result = run(search, subject, search.settings(), subject.classes.numpy(), 0)

    if result.mapping is None:
        assert result.targets[0] == TARGET
    else:
        assert result.targets == tuple(next_class(torch.arange(10)).tolist())
    if shows_images(search):
        assert result.success is not None
        assert result.success.rate > 0.5


@every_search
def test_it_says_nothing_large_of_a_clean_net(search: Search) -> None:
    """None of its statistics alone would block the clean demo model."""
    chosen = Chosen(classes=ALL, ordinary=ALL.copy(), looked={})
    profile = profile_of("clean", demo_subject("clean"), chosen, {search.name: found(search)})

    limit = critical_value(0.05, shipped().alone, 10)

    for name in profile.statistics:
        assert evidence(name, profile, (), shipped()).max() < limit, name


@every_search
def test_pieces_add_up_to_the_whole(search: Search) -> None:
    """Advanced in pieces, also past its end, it comes to the same as advanced at once."""
    subject, config = demo_subject("clean"), brief_searches.of(search)
    whole = search.advance(search.start(subject, config, 0), subject.classes, config.steps)
    pieces = search.start(subject, config, 0)

    for steps in (1, 3, 2, config.steps):
        pieces = search.advance(pieces, subject.classes, steps)

    assert equal(search.result(pieces), search.result(whole))
    assert search.effort(pieces) == search.effort(whole)


@every_search
def test_it_honours_its_budget(search: Search) -> None:
    """Only the chosen classes advance, by the steps that were asked for, and effort says so."""
    if search.joint:
        pytest.skip(JOINT)
    subject, config = demo_subject("clean"), search.settings()
    chosen = subject.classes[[2, 5]]

    state = search.advance(search.start(subject, config, 0), chosen, 2)

    assert {int(each) for block in state.blocks for each in block.classes} == {2, 5}
    assert search.effort(state).steps == 2 * 2
    reached = search.reached(state)
    assert np.isfinite(reached[[2, 5]]).all()
    assert np.isnan(np.delete(reached, [2, 5])).all()
    more = search.advance(state, chosen, 1)
    assert search.effort(more).steps == 2 * 3
    assert search.effort(more).images > search.effort(state).images > 0


@every_search
def test_a_joint_search_advances_all_classes(search: Search) -> None:
    """Whichever are asked for, and no further than by the steps that were asked for."""
    if not search.joint:
        pytest.skip("it advances the classes that it is asked for")
    subject, config = demo_subject("clean"), search.settings()
    start = search.start(subject, config, 0)

    some = search.advance(start, subject.classes[[2]], 1)
    every = search.advance(start, subject.classes, 1)
    more = search.advance(every, subject.classes, 1)

    assert np.isfinite(search.reached(every)).all()
    assert np.array_equal(search.reached(some), search.reached(every))
    assert search.effort(start).steps == 0
    assert search.effort(some) == search.effort(every)
    assert 0 < search.effort(every).steps <= search.effort(more).steps


@every_search
def test_classes_do_not_touch_each_other(search: Search) -> None:
    """A class that is searched alone gets the values it gets among others, but for rounding."""
    if search.joint:
        pytest.skip(JOINT)
    subject, config = demo_subject("clean"), search.settings()
    alone = search.advance(search.start(subject, config, 0), subject.classes[[4]], 3)
    among = search.advance(search.start(subject, config, 0), subject.classes, 3)

    np.testing.assert_allclose(search.reached(alone)[4], search.reached(among)[4], rtol=1e-3)


@every_search
def test_memory_changes_nothing_but_rounding(search: Search) -> None:
    """With room for a class at a time it says the same as with room for all."""
    small = replace(brief_searches.of(search), memory_mb=1)
    result = run(search, demo_subject("clean"), small, ALL, 0)

    for name, values in result.statistics.items():
        np.testing.assert_allclose(values, briefly(search).statistics[name], rtol=2e-2, atol=2e-2)


@every_search
def test_the_success_rate_is_that_of_the_trigger(search: Search) -> None:
    """It is the share of evaluation samples that the trigger carries over: of other classes to the
    target, or of all classes each to its own.
    """
    result = found(search, "patch")
    if not shows_images(search):
        assert result.success is None
        assert result.trigger is None
        pytest.skip("it shows the net no image, so nothing is carried")
    success = result.success
    assert success is not None
    assert 0 <= success.rate <= 1
    assert success.samples > 0
    assert success.inside_twin == (result.trigger is None)
    if result.trigger is None:
        return
    images, wanted = _evaluated_on(search, result, success)

    shown = torch.tensor(result.trigger.apply(images))
    carried = demo_subject("patch").twin.module(shown).argmax(1) == torch.tensor(wanted)

    assert success.samples == len(shown)
    assert success.rate == pytest.approx(float(carried.float().mean()))


@every_search
def test_the_trigger_reproduces_its_own_statistic(search: Search) -> None:
    """Laid on the evaluation set by hand, it gives the margins that the search reports."""
    result, config = found(search, "patch"), search.settings()
    if result.trigger is None:
        pytest.skip("what it found has no image form")
    if result.mapping is not None:
        pytest.skip("its margins are of one class per sample; its own tests lay it on by hand")
    subject, target = demo_subject("patch"), result.targets[0]
    ground = probe(subject, config.evaluation_samples, 0, config.memory_mb)
    shown = torch.tensor(result.trigger.apply(ground.images.numpy()))
    gap = margins.logit_gap(subject.clean.logits)

    mean, certain = margins.evaluated(ground, gap, torch.tensor([target]), lambda _: shown[None])

    measured: dict[str, Floats] = {"margin": mean.numpy(), "standardised_margin": certain.numpy()}
    for name in set(measured) & set(result.statistics):
        reported = result.statistics[name][target]
        np.testing.assert_allclose(measured[name][0], reported, rtol=1e-3, atol=1e-4)


@every_search
def test_of_classes_that_are_not_searched_nothing_is_said(search: Search) -> None:
    """Their values are NaN, and it costs less; a joint search says of all classes the same."""
    some, every = (
        run(search, demo_subject("patch"), search.settings(), SOME, 0),
        found(search, "patch"),
    )

    if search.joint:
        assert equal(some, every)
        return
    for values in some.statistics.values():
        assert np.isfinite(values[SOME]).all()
        assert np.isnan(np.delete(values, SOME)).all()
    assert set(some.targets) <= set(SOME.tolist())
    assert some.effort.steps * 10 == every.effort.steps * len(SOME)
    assert some.effort.images < every.effort.images


@every_search
def test_its_brief_look_is_brief(search: Search) -> None:
    """Its settings are no more work, and of the same type; that of a joint search is the whole of
    it, one step. A search without one has no settings for it.
    """
    config = search.settings()

    if config.brief is None:
        assert not [each.name for each in fields(config) if each.name.startswith("brief_")]
        return
    assert type(config.brief) is type(config)
    assert 0 < config.brief.steps <= config.steps
    assert not search.joint or (config.brief == config and config.steps == 1)


def _evaluated_on(
    search: Search, result: SearchResult, success: AttackSuccess
) -> tuple[Floats, Integers]:
    """Images that the success is of, and where each should go."""
    subject, config = demo_subject("patch"), search.settings()
    rows = evaluation_rows(subject, config.samples, 0)
    images, labels = subject.samples.images[rows], subject.samples.labels[rows]
    if result.mapping is not None:
        return images[: success.samples], result.mapping[labels[: success.samples]]
    source = success.source
    others = labels != result.targets[0] if source is None else labels == source
    return images[others], np.full(int(others.sum()), result.targets[0])
