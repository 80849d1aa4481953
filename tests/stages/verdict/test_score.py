"""From what the searches say to one anomaly score per class, and its p-value under the null."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from stages.errors import ConfigError
from stages.searches import SPECS, STATISTICS
from stages.types import Floats
from stages.verdict.calibration import Tail
from stages.verdict.score import (
    anomaly_index,
    evidence,
    index_of,
    normal_score,
    scores,
)
from tests.support.profiles import (
    BLEND,
    CLASSES,
    NOISE,
    ONLY_BESIDE,
    PATCH,
    SETTINGS,
    STRONG,
    USUAL,
    WHOLE,
    drawn,
    everywhere,
    profile,
    searched_only,
    tail,
    with_tail,
    with_values,
)

numbers = st.floats(-5, 5, width=32)
per_class = st.lists(numbers, min_size=4, max_size=30).map(lambda each: np.array(each, np.float32))
tails = st.builds(tail, upper=st.floats(0.2, 4), scale=st.floats(0.1, 4))


def g(index: float, tail: Tail) -> float:
    """The normal score of one anomaly index."""
    return float(normal_score(np.array([index], np.float32), tail)[0])


# How far a class stands out


@given(per_class, st.floats(0.05, 2))
def test_the_median_class_does_not_stand_out(values: Floats, least: float) -> None:
    """As many classes lie above zero as below, and an odd one out lies exactly there."""
    found = anomaly_index(values, values, least)

    assert (found > 0).sum() <= len(values) / 2
    assert (found < 0).sum() <= len(values) / 2
    assert np.median(found) == pytest.approx(0, abs=1e-5)


@given(per_class, st.integers(-8, 8), st.floats(0.05, 2))
def test_a_shift_of_all_classes_changes_nothing(values: Floats, shift: int, least: float) -> None:
    """Only differences between classes count."""
    found, moved = (anomaly_index(each, each, least) for each in (values, values + shift))

    np.testing.assert_allclose(moved, found, rtol=1e-3, atol=1e-3)


@given(per_class, st.floats(0.05, 2), st.sampled_from([0.25, 4.0]))
def test_the_unit_does_not_matter(values: Floats, least: float, unit: float) -> None:
    """Values and least deviation in another unit give the same z."""
    found = anomaly_index(unit * values, unit * values, unit * least)

    np.testing.assert_allclose(found, anomaly_index(values, values, least), rtol=1e-4, atol=1e-6)


@given(per_class, st.floats(0.05, 2))
def test_the_index_keeps_the_order_of_the_classes(values: Floats, least: float) -> None:
    """What is larger stands out more."""
    found = anomaly_index(values, values, least)

    assert (np.diff(found[np.argsort(values)]) >= 0).all()


def test_both_deviations_make_the_unit() -> None:
    """The classes' own deviation of 4, and that of the usual clean model."""
    away = 4 / 1.4826
    values = np.array([-away, -away, 0, away, 10], np.float32)

    assert anomaly_index(values, values, 0.0)[-1] == pytest.approx(2.5, rel=1e-5)
    assert anomaly_index(values, values, 3.0)[-1] == pytest.approx(2.0, rel=1e-5)
    equal = np.full(7, 1e6, np.float32)
    assert anomaly_index(equal, equal, 0.0).tolist() == [0.0] * 7


@given(st.integers(0, 50), st.floats(-50, 50))
def test_only_the_ordinary_classes_say_what_is_usual(seed: int, odd: float) -> None:
    """Median and deviation are theirs, whatever the other classes hold."""
    model = replace(drawn(seed), ordinary=np.arange(6))
    values = model.statistics[BLEND].copy()
    values[8] = odd
    other = with_values(model, **{BLEND: values})

    found, again = (index_of(BLEND, each, (), tail()) for each in (model, other))

    assert np.array_equal(np.delete(found, 8), np.delete(again, 8))


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_said_of_the_whole_model_is_measured_against_clean_models(name: str) -> None:
    """By its distance from their median, as all classes are alike in it."""
    model = profile({name: everywhere(1.5)})

    assert index_of(name, model, (), tail(0.5, USUAL)).tolist() == [3.0] * CLASSES
    assert index_of(name, model, (profile(),), tail(0.5)).tolist() == [3.0] * CLASSES
    assert scores(profile(), (), SETTINGS).max() == 0
    assert scores(model, (), SETTINGS).min() == pytest.approx(3.0)


@pytest.mark.parametrize("name", WHOLE)
def test_what_carries_no_class_to_another_is_no_evidence(name: str) -> None:
    """However far above clean models a margin below 0 lies: its trigger wins nothing."""
    narrow = with_tail(SETTINGS, name, least=0.001)

    assert scores(profile({name: everywhere(0.9)}), (), narrow).max() == 0
    assert scores(profile({name: everywhere(1.1)}), (), narrow).min() > 90


BEYOND = {name: spec.beyond for name, spec in SPECS.items() if spec.beyond}
"""Statistics that count as far as they go beyond another one's median class."""


@pytest.mark.parametrize("name", BEYOND)
@given(st.floats(-2, 3), st.floats(-2, 3))
def test_what_is_reached_anyway_says_nothing_more(name: str, usual: float, value: float) -> None:
    """What it says is taken off by what the median class is reached by, where that is above 0."""
    other = str(BEYOND[name])
    away = {0: 9.0, 1: -9.0}
    model = profile({name: everywhere(value - USUAL), other: everywhere(usual - USUAL) | away})
    taken_off = profile({name: everywhere(value - max(usual, 0.0) - USUAL)})

    found, plain = (evidence(name, each, (), SETTINGS) for each in (model, taken_off))

    np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("searched", [True, False])
def test_before_it_is_known_what_is_reached_anyway_nothing_is_said(
    name: str, searched: bool
) -> None:
    """So that what is found later can only add to the evidence."""
    model = profile({name: everywhere(9.0)})
    statistics = {key: each for key, each in model.statistics.items() if key != BEYOND[name]}
    found = {str(BEYOND[name]): np.full(CLASSES, np.nan, np.float32)} if searched else {}

    early = replace(model, statistics=statistics | found)

    assert evidence(name, model, (), SETTINGS).min() > 0
    assert evidence(name, early, (), SETTINGS).max() == 0


# How much that is worth


@given(tails)
def test_a_class_that_does_not_stand_out_is_worth_nothing(tail: Tail) -> None:
    """The median class, those below it, and those of which nothing is known."""
    found = normal_score(np.array([0.0, -0.1, -1e6, np.nan], np.float32), tail)

    assert found.tolist() == [0.0] * 4


@given(tails, st.floats(0, 30), st.floats(0.01, 5))
def test_who_stands_out_further_is_worth_more(tail: Tail, index: float, more: float) -> None:
    """Over the whole range, also where the two parts of the tail meet."""
    assert g(index + more, tail) > g(index, tail) >= 0


@given(tails)
def test_a_tenth_of_clean_classes_lies_above_the_upper_mark(tail: Tail) -> None:
    """Just there g is that of a normal variable's upper tenth, from both sides."""
    expected = float(norm.isf(0.1))

    for index in (np.nextafter(np.float32(tail.upper), np.float32(0)), tail.upper):
        assert g(float(index), tail) == pytest.approx(expected, rel=1e-3)


@given(st.floats(1.1, 30), st.floats(0.1, 2), st.floats(1.1, 4))
def test_a_heavy_tail_gives_less_evidence(index: float, scale: float, heavier: float) -> None:
    """Where clean classes often stand out far, standing out far says little."""
    assert g(index, tail(scale=heavier * scale)) < g(index, tail(scale=scale))
    assert g(index, tail(upper=heavier, scale=scale)) < g(index, tail(scale=scale))


@pytest.mark.parametrize("index", [1e3, 1e6, 1e30])
def test_no_lead_is_worth_endlessly_much(index: float) -> None:
    """A score is a finite number."""
    assert 7 < g(index, tail()) < 40


# All statistics together


def test_where_nothing_stands_out_the_score_is_0() -> None:
    """By itself and beside references."""
    assert scores(profile(), (), SETTINGS).tolist() == [0.0] * CLASSES
    assert scores(profile(), (profile(),), SETTINGS).tolist() == [0.0] * CLASSES


def test_squares_of_the_statistics_are_added() -> None:
    """The score of a class is the length of its normal scores."""
    found = scores(profile({BLEND: {3: 1.5}, PATCH: {3: 1.0}, NOISE: {4: 1.0}}), (), SETTINGS)

    assert found[3] == pytest.approx(math.hypot(g(3, tail()), g(4, tail())), rel=1e-5)
    assert found[4] == pytest.approx(g(2, tail()), rel=1e-5)


@given(st.integers(0, 200))
def test_a_score_is_at_least_that_of_any_statistic(seed: int) -> None:
    """All statistics together say no less than each alone, and nothing is below zero."""
    model = drawn(seed)

    found = scores(model, (), SETTINGS)

    assert found.shape == (CLASSES,)
    assert found.dtype == np.float32
    for name in set(STATISTICS) - set(ONLY_BESIDE):
        assert (found >= evidence(name, model, (), SETTINGS) - 1e-5).all()


def test_what_one_search_is_blind_to_does_not_count_against_the_others() -> None:
    """A class far below the rest in one search keeps the score that another one gave it."""
    seen = profile({PATCH: {3: 0.5}})
    hidden = profile({PATCH: {3: 0.5}, BLEND: {3: -9.0}, STRONG: {3: -9.0}, NOISE: {3: -9.0}})

    assert scores(hidden, (), SETTINGS).tolist() == scores(seen, (), SETTINGS).tolist()


@given(st.integers(0, 50), st.sampled_from(STATISTICS), st.floats(0.5, 5))
def test_the_score_rises_with_every_statistic(seed: int, name: str, more: float) -> None:
    """The class that leads in one scores more if it leads by more, unless that counts only beside
    references; no other class does.
    """
    model = drawn(seed)
    lead = int(model.statistics[name].argmax())
    values = model.statistics[name].copy()
    values[slice(None) if name in WHOLE else lead] += more + (2.0 if name in WHOLE else 0.0)

    before, after = (
        scores(each, (), SETTINGS) for each in (model, with_values(model, **{name: values}))
    )

    assert after[lead] >= before[lead]
    if name in ONLY_BESIDE:
        assert after.tolist() == before.tolist()
    elif name not in WHOLE:
        assert after[lead] > before[lead]
        assert (np.delete(after, lead) <= np.delete(before, lead) + 1e-5).all()


def test_each_statistic_has_its_own_deviation_and_tail() -> None:
    """0.5 in the margin is z = 1, 0.5 in the patch is z = 2, and a heavy tail is worth less."""
    by_blend, by_patch = profile({BLEND: {3: 0.5}}), profile({PATCH: {3: 0.5}})
    heavy = with_tail(SETTINGS, PATCH, scale=5.0)

    assert scores(by_blend, (), SETTINGS)[3] == pytest.approx(g(1, tail()), rel=1e-5)
    assert scores(by_patch, (), SETTINGS)[3] == pytest.approx(g(2, tail()), rel=1e-5)
    assert scores(by_patch, (), heavy)[3] == pytest.approx(g(2, tail(scale=5.0)), rel=1e-5)


def test_of_a_class_that_was_not_searched_nothing_is_said() -> None:
    """It scores 0, and the others score what they would without it."""
    model = profile({BLEND: {3: 2.0, 7: 9.0}, PATCH: {4: 1.0}})
    few = searched_only(model, [0, 1, 2, 3, 4, 5], [0, 1, 2, 5])

    found = scores(few, (), SETTINGS)

    assert found[[3, 4]].tolist() == scores(model, (), SETTINGS)[[3, 4]].tolist()
    assert found[6:].tolist() == [0.0] * 4


def test_classes_that_only_one_of_model_and_reference_searched_are_not_compared() -> None:
    """The difference is unknown, so there is no evidence; where both were searched there is."""
    model = searched_only(profile({BLEND: {3: 2.0, 4: 2.0}}), [0, 1, 2, 3, 4], [0, 1, 2])
    reference = searched_only(profile(), [1, 2, 3, 5], [1, 2, 5])
    stranger = searched_only(profile(), [7, 8, 9], [7, 8, 9])

    beside = scores(model, (reference,), SETTINGS)

    assert beside[3] > 0
    assert np.delete(beside, 3).tolist() == [0.0] * (CLASSES - 1)
    assert scores(model, (stranger,), SETTINGS).tolist() == [0.0] * CLASSES


def test_the_order_of_the_statistics_does_not_matter() -> None:
    """They are known by their names."""
    model = drawn(0)
    turned = replace(model, statistics=dict(reversed(model.statistics.items())))

    np.testing.assert_allclose(scores(turned, (), SETTINGS), scores(model, (), SETTINGS), rtol=1e-5)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_needs_its_numbers(statistic: str) -> None:
    """A calibration for fewer statistics than there are does not silently drop one."""
    rows = {name: row for name, row in SETTINGS.rows.items() if name != statistic}
    short = replace(SETTINGS, rows=rows)

    needing = [(profile(),)] if statistic in ONLY_BESIDE else [(), (profile(),)]
    for references in needing:
        with pytest.raises(ConfigError, match=f"statistic `{statistic}` has no row"):
            scores(profile(), references, short)
