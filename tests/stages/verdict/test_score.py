"""From what the searches say to one anomaly score per class, and its p-value under the null."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import ConfigError
from stages.searches import STATISTICS
from stages.types import Floats
from stages.verdict.calibration import Null
from stages.verdict.score import (
    anomaly_index,
    critical_value,
    growth_of,
    null_of,
    p_value,
    printable_p,
    scores,
    scores_against,
    scores_alone,
)
from tests.support.profiles import (
    BLEND,
    CLASSES,
    NOISE,
    NULL,
    PATCH,
    SETTINGS,
    STRONG,
    WARP,
    drawn,
    profile,
    values_of,
    with_row,
    with_values,
)

numbers = st.floats(-5, 5, width=32)
per_class = st.lists(numbers, min_size=4, max_size=30).map(lambda each: np.array(each, np.float32))


@given(per_class, st.floats(0.05, 2))
def test_the_median_class_does_not_stand_out(values: Floats, spread: float) -> None:
    """As many classes lie above zero as below, and an odd one out lies exactly there."""
    found = anomaly_index(values, spread)

    assert (found > 0).sum() <= len(values) / 2
    assert (found < 0).sum() <= len(values) / 2
    assert np.median(found) == pytest.approx(0, abs=1e-5)


@given(per_class, st.integers(-8, 8), st.floats(0.05, 2))
def test_a_shift_of_all_classes_changes_nothing(values: Floats, shift: int, spread: float) -> None:
    """Only differences between classes count."""
    found = anomaly_index(values, spread)

    np.testing.assert_allclose(anomaly_index(values + shift, spread), found, rtol=1e-3, atol=1e-3)


@given(per_class, st.floats(0.05, 2), st.sampled_from([0.25, 4.0]))
def test_the_unit_does_not_matter(values: Floats, spread: float, unit: float) -> None:
    """Values and spread in another unit give the same z."""
    found = anomaly_index(unit * values, unit * spread)

    np.testing.assert_allclose(found, anomaly_index(values, spread), rtol=1e-4, atol=1e-6)


@given(per_class, st.floats(0.05, 2))
def test_the_index_keeps_the_order_of_the_classes(values: Floats, spread: float) -> None:
    """What is larger stands out more."""
    found = anomaly_index(values, spread)

    assert (np.diff(found[np.argsort(values)]) >= 0).all()


@pytest.mark.parametrize("value", [-3.0, 0.0, 1e6])
def test_equal_classes_stand_out_by_nothing(value: float) -> None:
    """Without any deviation the floor keeps zero from being divided by zero."""
    assert anomaly_index(np.full(7, value, np.float32), 0.3).tolist() == [0.0] * 7


def test_the_floor_bounds_a_single_class_among_equals() -> None:
    """One class that leads equal ones does so in units of the floor, not infinitely."""
    values = np.array([0, 0, 0, 0, 0.6], np.float32)

    assert anomaly_index(values, 0.3).tolist() == pytest.approx([0, 0, 0, 0, 2])
    assert anomaly_index(values, 0.6)[-1] == pytest.approx(1)


def test_deviation_and_floor_add_as_squares() -> None:
    """With a scaled deviation of 4 and a floor of 3, the unit is 5."""
    away = 4 / 1.4826
    values = np.array([-away, -away, 0, away, 10], np.float32)

    assert anomaly_index(values, 3.0)[-1] == pytest.approx(2.0, rel=1e-5)


def test_what_one_search_is_blind_to_does_not_count_against_the_others() -> None:
    """A class far below the rest in one search keeps the score that another one gave it."""
    seen = profile({PATCH: {3: 0.5}})
    hidden = profile({PATCH: {3: 0.5}, BLEND: {3: -9.0}, STRONG: {3: -9.0}, NOISE: {3: -9.0}})

    assert scores_alone(seen, SETTINGS)[3] == pytest.approx(2.0)
    assert scores_alone(hidden, SETTINGS).tolist() == scores_alone(seen, SETTINGS).tolist()


def test_cubes_of_the_statistics_are_added_by_weight() -> None:
    """z = 3 and z = 4 with weight 1 are 91^⅓; a weight of an eighth halves its statistic."""
    both = profile({BLEND: {3: 1.5}, PATCH: {3: 1.0}})
    light = profile({STRONG: {3: 2.0}})

    assert scores_alone(both, SETTINGS)[3] == pytest.approx(91 ** (1 / 3))
    assert scores_alone(light, SETTINGS)[3] == pytest.approx(2.0)


def test_one_search_that_says_much_outweighs_many_that_say_a_little() -> None:
    """z = 4 in one search is more than z = 2 in each of four."""
    sure = profile({PATCH: {3: 1.0}})
    natural = profile({BLEND: {3: 1.0}, PATCH: {3: 0.5}, WARP: {3: 1.0}, NOISE: {3: 1.0}})

    assert scores_alone(sure, SETTINGS)[3] > scores_alone(natural, SETTINGS)[3]


def test_a_statistic_without_weight_says_nothing() -> None:
    """Whatever it found."""
    mute = with_row(SETTINGS, NOISE, weight=0.0)

    assert scores_alone(profile({NOISE: {3: 50.0}}), mute).tolist() == [0.0] * CLASSES


@given(st.integers(0, 200))
def test_a_score_is_at_least_that_of_any_statistic(seed: int) -> None:
    """All statistics together say no less than each alone, and nothing is below zero."""
    model = drawn(seed)

    found = scores_alone(model, SETTINGS)

    assert found.shape == (CLASSES,)
    assert (found >= 0).all()
    for name, values in model.statistics.items():
        row = SETTINGS.rows[name]
        assert (found >= row.weight ** (1 / 3) * anomaly_index(values, row.spread) - 1e-5).all()


def test_the_order_of_the_statistics_does_not_matter() -> None:
    """They are known by their names."""
    model = drawn(0)
    turned = replace(model, statistics=dict(reversed(model.statistics.items())))

    np.testing.assert_allclose(
        scores_alone(turned, SETTINGS), scores_alone(model, SETTINGS), rtol=1e-5
    )


def test_each_statistic_has_its_own_spread() -> None:
    """0.5 in the margin is one spread, 0.5 in the patch are two; with references, 2.5 and 5."""
    by_blend, by_patch, plain = profile({BLEND: {3: 0.5}}), profile({PATCH: {3: 0.5}}), profile()

    assert scores_alone(by_blend, SETTINGS)[3] == pytest.approx(1.0)
    assert scores_alone(by_patch, SETTINGS)[3] == pytest.approx(2.0)
    assert scores_against(by_blend, (plain,), SETTINGS)[3] == pytest.approx(2.5)
    assert scores_against(by_patch, (plain,), SETTINGS)[3] == pytest.approx(5.0)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_needs_its_numbers(statistic: str) -> None:
    """A calibration for fewer statistics than there are does not silently drop one."""
    rows = {name: row for name, row in SETTINGS.rows.items() if name != statistic}
    short = replace(SETTINGS, rows=rows)

    for references in ((), (profile(),)):
        with pytest.raises(ConfigError, match=f"statistic `{statistic}` has no row"):
            scores(profile(), references, short)


@given(st.integers(0, 100), st.integers(1, 3))
def test_nothing_stands_out_against_itself(seed: int, copies: int) -> None:
    """A model compared with itself scores zero everywhere."""
    model = drawn(seed)

    found = scores_against(model, (model,) * copies, SETTINGS)

    # the mean of three equal numbers may be off by one rounding
    np.testing.assert_allclose(found, np.zeros(CLASSES), atol=1e-5)


@given(st.integers(0, 100), st.integers(2, 4))
def test_several_references_are_their_mean(seed: int, count: int) -> None:
    """One reference with the mean of their values says the same."""
    model, *references = (drawn(seed + 1000 * place) for place in range(count + 1))
    rows = np.mean([values_of(each) for each in references], axis=0)
    mean = with_values(references[0], **dict(zip(STATISTICS, rows, strict=True)))

    found = scores_against(model, tuple(references), SETTINGS)

    expected = scores_against(model, (mean,), SETTINGS)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@given(st.integers(0, 100))
def test_the_order_of_the_references_does_not_matter(seed: int) -> None:
    """They are a set."""
    model, one, two = drawn(seed), drawn(seed + 500), drawn(seed + 900)

    forth = scores_against(model, (one, two), SETTINGS)

    np.testing.assert_allclose(forth, scores_against(model, (two, one), SETTINGS), rtol=1e-5)


@given(st.integers(0, 100), st.sampled_from([0.0, 0.5, 2.0]))
def test_what_stands_out_against_references_is_added_by_weight(seed: int, weight: float) -> None:
    """Without references, or with no weight for them, the model is judged by itself."""
    config = replace(SETTINGS, shared=replace(SETTINGS.shared, reference_weight=weight))
    model, reference = drawn(seed), drawn(seed + 7)
    alone = scores_alone(model, config)

    found = scores(model, (reference,), config)

    assert np.array_equal(scores(model, (), config), alone)
    expected = alone + weight * scores_against(model, (reference,), config)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_natural_backdoor_classes_cancel() -> None:
    """A class that leads in model and reference alike stands out alone, but not against it."""
    model, reference = profile({BLEND: {2: 3.0, 6: 1.0}}), profile({BLEND: {2: 3.0}})

    assert scores_alone(model, SETTINGS).argmax() == 2
    against = scores_against(model, (reference,), SETTINGS)
    assert against.argmax() == 6
    assert against[2] == 0


def growth(classes: int) -> float:
    """How much larger the largest score of so many classes is."""
    return growth_of(classes, SETTINGS)


@given(st.floats(0, 60), st.floats(0.01, 10), st.integers(4, 1000))
def test_p_falls_as_the_score_rises(value: float, more: float, classes: int) -> None:
    """And it stays in (0, 1]."""
    first, second = (p_value(each, NULL, growth(classes)) for each in (value, value + more))

    assert 0 < second <= first <= 1
    assert second < first or first == 1 or second == 1e-300


@given(st.floats(0, 30), st.integers(2, 500), st.integers(1, 500))
def test_p_rises_with_the_number_of_classes(value: float, classes: int, more: int) -> None:
    """Among more classes one stands out more easily, once there are more than were calibrated."""
    few, many = growth(classes + 10), growth(classes + 10 + more)

    assert p_value(value, NULL, growth(classes)) <= p_value(value, NULL, growth(classes + more))
    assert p_value(6.0, NULL, few) < p_value(6.0, NULL, many)


@pytest.mark.parametrize("value", [1e3, 1e6, 1e30])
def test_no_score_makes_p_zero(value: float) -> None:
    """Its logarithm stays finite."""
    assert 0 < p_value(value, NULL, 1.0) < 1e-200


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.5, 0.9])
def test_p_is_uniform_under_its_null(share: float) -> None:
    """For ten classes, the upper quantile of the Gumbel distribution has just that p-value."""
    quantile = NULL.location - NULL.scale * math.log(-math.log1p(-share))

    assert p_value(quantile, NULL, growth(10)) == pytest.approx(share)


def test_drawn_scores_are_flagged_at_the_rate() -> None:
    """Largest scores drawn from the null fall below p = 5 % in five of a hundred models."""
    scores = np.random.default_rng(0).gumbel(NULL.location, NULL.scale, 4000)

    flagged = np.mean([p_value(each, NULL, growth(10)) <= 0.05 for each in scores])

    # 4 000 draws: three standard errors of a 5 % rate are 0.0103
    assert abs(flagged - 0.05) < 0.0104


@pytest.mark.parametrize("times", [2, 10, 100])
def test_critical_values_grow_with_a_power_of_the_classes(times: int) -> None:
    """At every rate alike, and by more than the largest of so many Gumbel draws would."""
    for rate in (0.001, 0.05, 0.3):
        few, many = (critical_value(rate, NULL, growth(each)) for each in (10, 10 * times))

        assert many / few == pytest.approx(growth(10 * times)) == pytest.approx(times**0.45)
        assert many > few + NULL.scale * math.log(times)


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_fewer_classes_than_ten_have_no_lower_critical_value(classes: int) -> None:
    """None were measured, so they get that of ten."""
    assert growth(classes) == growth(10) == 1


def test_growth_is_that_of_the_calibration() -> None:
    """Its power, and the classes of the models that its nulls come from."""
    shared = replace(SETTINGS.shared, classes=5, growth=2.0)

    assert growth_of(15, replace(SETTINGS, shared=shared)) == pytest.approx(9.0)


@given(rate=st.floats(1e-6, 0.999), classes=st.integers(4, 1000))
def test_the_critical_value_is_the_score_with_that_p_value(rate: float, classes: int) -> None:
    """It is the inverse of `p_value`, for any number of classes."""
    found = critical_value(rate, NULL, growth(classes))

    assert p_value(found, NULL, growth(classes)) == pytest.approx(rate, rel=1e-6)


def test_the_nulls_are_those_of_the_calibration() -> None:
    """One for a model by itself, one beside references."""
    assert null_of(SETTINGS, referenced=False) == NULL
    assert null_of(SETTINGS, referenced=True) == Null(location=3.0, scale=1.2, n=1284)


@given(p=st.floats(0, 1, exclude_min=True), n=st.integers(1, 5000))
def test_no_p_value_is_printed_smaller_than_its_models_carry(p: float, n: int) -> None:
    """What is rarer than one in n + 1 is only said to be so; everything else is told as it is."""
    shown, is_bound = printable_p(p, replace(NULL, n=n))

    assert shown >= 1 / (n + 1)
    assert is_bound == (p < 1 / (n + 1))
    assert shown == (1 / (n + 1) if is_bound else p)
