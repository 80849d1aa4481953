"""What every registered search must hold to, whatever it looks for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from stages.searches import SEARCHES, margins
from stages.searches.probe import probe
from stages.searches.screen import ScreenConfig, run
from stages.searches.search import Search, SearchResult
from stages.searches.success import evaluation_samples
from stages.types import Floats
from stages.verdict.calibration import shipped
from stages.verdict.score import anomaly_index, critical_value
from tests.support.subjects import TARGET, demo_subject, planted_subject

every_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
ALL, SOME = ScreenConfig(), ScreenConfig(all_up_to=4, leading=3, ordinary=2)


@cache
def found(search: Search, model: str = "clean", seed: int = 0) -> SearchResult:
    """What a search says of a demo model by its default settings."""
    return run(search, demo_subject(model), search.settings(), ALL, seed)


def equal(one: SearchResult, other: SearchResult) -> bool:
    """Whether all statistics are the same, bit for bit."""
    return all(
        np.array_equal(values, other.statistics[name], equal_nan=True)
        for name, values in one.statistics.items()
    )


@every_search
def test_it_says_one_number_per_class_and_statistic(search: Search) -> None:
    """It gives what it announces: every statistic, finite, one number for each class."""
    result = found(search)

    assert list(result.statistics) == [spec.name for spec in search.statistics]
    for values in result.statistics.values():
        assert values.shape == (10,)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert all(spec.name and spec.unit and spec.meaning for spec in search.statistics)


@every_search
def test_it_is_deterministic(search: Search) -> None:
    """The same seed gives the same numbers; another one draws anew."""
    again = run(search, demo_subject("clean"), search.settings(), ALL, 0)

    assert equal(found(search), again)
    assert not equal(found(search), found(search, seed=1))


@every_search
def test_it_leaves_the_twin_as_it_was(search: Search) -> None:
    """Weights, mode and gradients of the twin do not change."""
    module = demo_subject("clean").twin.module
    before = {name: each.clone() for name, each in module.state_dict().items()}

    run(search, demo_subject("clean"), search.settings(), ALL, 2)

    assert not module.training
    assert all(each.grad is None and not each.requires_grad for each in module.parameters())
    assert all(torch.equal(each, before[name]) for name, each in module.state_dict().items())


@every_search
def test_it_finds_a_planted_trigger_of_its_own_kind(search: Search) -> None:
    """In a net that learnt a trigger of its kind, it leads to the target, and what it recovers
    carries most images there.
    """
    trigger = found(search).trigger
    subject = planted_subject(type(trigger) if trigger else None)

    result = run(search, subject, search.settings(), ALL, 0)

    assert result.targets[0] == TARGET
    assert result.success is not None
    assert result.success.rate > 0.5


@every_search
def test_it_says_nothing_large_of_a_clean_net(search: Search) -> None:
    """None of its statistics alone would block the clean demo model."""
    calibration = shipped()
    limit = critical_value(0.05, calibration.alone, 1.0)

    for name, values in found(search).statistics.items():
        row = calibration.row(f"{search.name}.{name}")
        alone = np.cbrt(row.weight) * anomaly_index(values, row.spread).max()
        assert alone < limit, name


@every_search
def test_pieces_add_up_to_the_whole(search: Search) -> None:
    """Advanced in pieces, also past its end, it comes to the same as advanced at once."""
    subject, config = demo_subject("clean"), search.settings()
    whole = search.advance(search.start(subject, config, 0), subject.classes, config.steps)
    pieces = search.start(subject, config, 0)

    for steps in (1, 3, 2, config.steps):
        pieces = search.advance(pieces, subject.classes, steps)

    assert equal(search.result(pieces), search.result(whole))
    assert search.effort(pieces) == search.effort(whole)


@every_search
def test_it_honours_its_budget(search: Search) -> None:
    """Only the chosen classes advance, by the steps that were asked for, and effort says so."""
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
def test_classes_do_not_touch_each_other(search: Search) -> None:
    """A class that is searched alone gets the values it gets among others, but for rounding."""
    subject, config = demo_subject("clean"), search.settings()
    alone = search.advance(search.start(subject, config, 0), subject.classes[[4]], 3)
    among = search.advance(search.start(subject, config, 0), subject.classes, 3)

    np.testing.assert_allclose(search.reached(alone)[4], search.reached(among)[4], rtol=1e-3)


@every_search
def test_memory_changes_nothing_but_rounding(search: Search) -> None:
    """With room for a class at a time it says the same as with room for all."""
    small = replace(search.settings(), memory_mb=1)
    result = run(search, demo_subject("clean"), small, ALL, 0)

    for name, values in result.statistics.items():
        np.testing.assert_allclose(values, found(search).statistics[name], rtol=2e-2, atol=2e-2)


@every_search
def test_the_success_rate_is_that_of_the_trigger(search: Search) -> None:
    """It is the share of evaluation samples of other classes that the trigger carries over."""
    result = found(search, "patch")
    success = result.success
    assert success is not None
    assert 0 <= success.rate <= 1
    assert success.samples > 0
    assert success.inside_twin == (result.trigger is None)
    if result.trigger is None:
        return
    subject, target = demo_subject("patch"), result.targets[0]
    images, labels = evaluation_samples(subject, _searched(search), 0)
    shown = torch.tensor(result.trigger.apply(images[labels != target]))

    carried = subject.twin.module(shown).argmax(1) == target

    assert success.samples == len(shown)
    assert success.rate == pytest.approx(float(carried.float().mean()))


@every_search
def test_the_trigger_reproduces_its_own_statistic(search: Search) -> None:
    """Laid on the evaluation set by hand, it gives the margins that the search reports."""
    result, config = found(search, "patch"), search.settings()
    if result.trigger is None:
        pytest.skip("noise has no image form; its success is measured inside the twin")
    subject, target = demo_subject("patch"), result.targets[0]
    ground = probe(*(subject.twin, subject.samples, subject.clean), config.evaluation_samples, 0)
    shown = torch.tensor(result.trigger.apply(ground.images.numpy()))
    gap = margins.logit_gap(subject.clean.logits)

    mean, certain = margins.evaluated(ground, gap, torch.tensor([target]), lambda _: shown[None])

    measured: dict[str, Floats] = {"margin": mean.numpy(), "standardised_margin": certain.numpy()}
    for name in set(measured) & set(result.statistics):
        reported = result.statistics[name][target]
        np.testing.assert_allclose(measured[name][0], reported, rtol=1e-3, atol=1e-4)


@every_search
def test_many_classes_are_screened(search: Search) -> None:
    """With a screen every class still has finite values, and it costs less than without."""
    screened = run(search, demo_subject("patch"), search.settings(), SOME, 0)

    assert all(np.isfinite(values).all() for values in screened.statistics.values())
    assert screened.effort.images < found(search, "patch").effort.images


def _searched(search: Search) -> int:
    """How many samples a search was searched on."""
    return int(search.settings().samples)
