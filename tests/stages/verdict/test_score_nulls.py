"""How rare a score is: the nulls, p-values, critical values, and how they grow with the classes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.verdict.calibration import Null, shipped
from stages.verdict.score import critical_value, location_of, null_of, p_value, printable_p
from tests.support.profiles import FEW, NULL, REFERENCED, SETTINGS


@given(st.floats(0, 60), st.floats(0.01, 10), st.integers(4, 1000))
def test_p_falls_as_the_score_rises(value: float, more: float, classes: int) -> None:
    """And it stays in (0, 1]."""
    first, second = (p_value(each, NULL, classes) for each in (value, value + more))

    assert 0 < second <= first <= 1
    assert second < first or first == 1 or second == 1e-300


@given(st.floats(0, 30), st.integers(2, 500), st.integers(1, 500))
def test_p_rises_with_the_number_of_classes(value: float, classes: int, more: int) -> None:
    """Among more classes one stands out more easily, once there are more than ten."""
    few, many = classes + 10, classes + 10 + more

    assert p_value(value, NULL, classes) <= p_value(value, NULL, classes + more)
    assert p_value(6.0, NULL, few) < p_value(6.0, NULL, many)


@pytest.mark.parametrize("value", [1e3, 1e6, 1e30])
def test_no_score_makes_p_zero(value: float) -> None:
    """Its logarithm stays finite."""
    assert 0 < p_value(value, NULL, 10) < 1e-200


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.5, 0.9])
def test_p_is_uniform_under_its_null(share: float) -> None:
    """For ten classes, the upper quantile of the Gumbel distribution has just that p-value."""
    quantile = NULL.location - NULL.scale * math.log(-math.log1p(-share))

    assert p_value(math.sqrt(max(quantile, 0.0)), NULL, 10) == pytest.approx(share)


def test_drawn_scores_are_flagged_at_the_rate() -> None:
    """Largest scores drawn from the null fall below p = 5 % in five of a hundred models."""
    drawn = np.sqrt(np.random.default_rng(0).gumbel(NULL.location, NULL.scale, 4000).clip(0))

    flagged = np.mean([p_value(each, NULL, 10) <= 0.05 for each in drawn])

    # 4 000 draws: three standard errors of a 5 % rate are 0.0103
    assert abs(flagged - 0.05) < 0.0104


@pytest.mark.parametrize("times", [2, 10, 100])
@pytest.mark.parametrize("rate", [0.001, 0.05, 0.3])
def test_critical_values_grow_with_the_logarithm_of_the_classes(times: int, rate: float) -> None:
    """At every rate their squares by as much, by the growth of the null for each e-fold."""
    few, many = (critical_value(rate, NULL, each) for each in (10, 10 * times))

    assert many**2 - few**2 == pytest.approx(NULL.growth * math.log(times))


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_fewer_classes_than_ten_have_no_lower_critical_value(classes: int) -> None:
    """None were measured, so they get that of ten."""
    assert location_of(NULL, classes) == location_of(NULL, 10) == NULL.location


def test_a_null_without_growth_is_the_same_for_all_numbers_of_classes_that_were_measured() -> None:
    """Up to the largest of them."""
    flat = replace(NULL, growth=0.0, up_to=43)

    assert p_value(3.0, flat, 43) == p_value(3.0, flat, 10)
    assert p_value(3.0, flat, 44) > p_value(3.0, flat, 43)


@pytest.mark.parametrize("growth", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("times", [2, 10, 25])
def test_beyond_what_was_measured_the_largest_of_independent_classes_is_usual(
    growth: float, times: int
) -> None:
    """Where no growth was measured, of clean models of so many times the classes as many exceed the
    critical value as of those that were measured, if the classes tell nothing of each other; where
    a faster one was measured, it goes on.
    """
    null = replace(NULL, growth=growth, up_to=43)
    drawn = np.random.default_rng(1).gumbel(location_of(null, 43), null.scale, (4000, times))
    largest = np.sqrt(np.maximum(drawn.max(1), 0.0))

    flagged = np.mean([p_value(each, null, 43 * times) <= 0.05 for each in largest])

    # three standard errors of 4 000 draws
    assert flagged < 0.0604
    assert growth > null.scale or flagged > 0.0396
    assert location_of(null, 43) == location_of(replace(null, up_to=1000), 43)


@pytest.mark.parametrize("null", [shipped().alone, shipped().referenced])
def test_the_shipped_nulls_end_where_their_models_do(null: Null) -> None:
    """What was measured up to is the largest number of classes of the calibration's range."""
    assert null.up_to == shipped().range.most_classes


@given(rate=st.floats(1e-6, 0.9), classes=st.integers(4, 1000))
def test_the_critical_value_is_the_score_with_that_p_value(rate: float, classes: int) -> None:
    """It is the inverse of `p_value`, for any number of classes."""
    found = critical_value(rate, NULL, classes)

    assert p_value(found, NULL, classes) == pytest.approx(rate, rel=1e-6)


def test_the_nulls_are_those_of_the_calibration() -> None:
    """One for a model by itself, one beside references, and one for a model of few classes."""
    assert null_of(SETTINGS, 4, referenced=False) == NULL
    assert null_of(SETTINGS, 4, referenced=True) == REFERENCED
    assert null_of(SETTINGS, 3, referenced=True) == FEW


@given(p=st.floats(0, 1, exclude_min=True), n=st.integers(1, 5000))
def test_no_p_value_is_printed_smaller_than_its_models_carry(p: float, n: int) -> None:
    """What is rarer than one in n + 1 is only said to be so; everything else is told as it is."""
    shown, is_bound = printable_p(p, replace(NULL, n=n))

    assert shown >= 1 / (n + 1)
    assert is_bound == (p < 1 / (n + 1))
    assert shown == (1 / (n + 1) if is_bound else p)
