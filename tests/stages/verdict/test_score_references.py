"""What references add to an anomaly score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.searches import STATISTICS
from stages.verdict.score import evidence, index_of, normal_score, scores
from tests.support.profiles import (
    BLEND,
    CLASSES,
    ONLY_BESIDE,
    SETTINGS,
    WHOLE,
    drawn,
    profile,
    values_of,
    with_values,
)


@given(st.integers(0, 100), st.integers(1, 3))
def test_nothing_stands_out_against_itself(seed: int, copies: int) -> None:
    """A model compared with itself scores zero everywhere."""
    model = drawn(seed)

    found = scores(model, (model,) * copies, SETTINGS)

    # the mean of three equal numbers may be off by one rounding
    np.testing.assert_allclose(found, np.zeros(CLASSES), atol=1e-4)


@given(st.integers(0, 100), st.sampled_from([name for name in STATISTICS if name not in WHOLE]))
def test_a_statistic_counts_by_the_smaller_of_itself_and_its_difference(
    seed: int, name: str
) -> None:
    """A planted class stands out both ways; a natural one, and chance, only one way."""
    model, reference = drawn(seed), drawn(seed + 7)
    row = SETTINGS.rows[name]
    alone = normal_score(index_of(name, model, (), row.alone), row.alone)
    against = normal_score(index_of(name, model, (reference,), row.referenced), row.referenced)

    found = evidence(name, model, (reference,), SETTINGS)

    assert np.array_equal(evidence(name, model, (), SETTINGS), alone)
    assert np.array_equal(found, np.minimum(alone, against))


@given(st.integers(0, 100), st.integers(1, 3))
def test_references_never_add_to_a_score(seed: int, count: int) -> None:
    """They can only explain what stands out, but for what counts only beside them."""
    model, *references = (drawn(seed + 1000 * place) for place in range(count + 1))
    both = [name for name in STATISTICS if name not in ONLY_BESIDE]

    beside, alone = (scores(model, each, SETTINGS, both) for each in (tuple(references), ()))

    assert (beside <= alone).all()
    assert (beside <= scores(model, tuple(references), SETTINGS)).all()
    assert alone.tolist() == scores(model, (), SETTINGS).tolist()


@given(st.integers(0, 100), st.integers(2, 4))
def test_several_references_are_their_mean(seed: int, count: int) -> None:
    """One reference with the mean of their values says the same."""
    model, *references = (drawn(seed + 1000 * place) for place in range(count + 1))
    rows = np.mean([values_of(each) for each in references], axis=0)
    mean = with_values(references[0], **dict(zip(STATISTICS, rows, strict=True)))

    found = scores(model, tuple(references), SETTINGS)

    np.testing.assert_allclose(found, scores(model, (mean,), SETTINGS), rtol=1e-3, atol=1e-3)


@given(st.integers(0, 100))
def test_the_order_of_the_references_does_not_matter(seed: int) -> None:
    """They are a set."""
    model, one, two = drawn(seed), drawn(seed + 500), drawn(seed + 900)

    forth = scores(model, (one, two), SETTINGS)

    np.testing.assert_allclose(forth, scores(model, (two, one), SETTINGS), rtol=1e-5)


def test_natural_backdoor_classes_cancel() -> None:
    """A class that leads in model and reference alike stands out alone, but not beside it."""
    model, reference = profile({BLEND: {2: 3.0, 6: 1.0}}), profile({BLEND: {2: 3.0}})

    assert scores(model, (), SETTINGS).argmax() == 2
    beside = scores(model, (reference,), SETTINGS)
    assert beside.argmax() == 6
    assert beside[2] == 0


def test_what_only_a_reference_lacks_is_no_evidence() -> None:
    """A class that is ordinary in the model does not stand out since a reference is weak there."""
    weak = profile({BLEND: {4: -5.0}})

    assert scores(profile(), (weak,), SETTINGS) == pytest.approx(0)
