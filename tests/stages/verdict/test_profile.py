"""A class profile holds what every search says of every class."""

from __future__ import annotations

import numpy as np
import pytest

from stages.searches import STATISTICS
from stages.searches.search import Subject
from stages.verdict.profile import profile_of
from tests.support import twins
from tests.support.finished_scans import searches


@pytest.fixture
def subject() -> Subject:
    return Subject(
        twin=twins.twin(), samples=twins.samples(), clean=twins.clean(), sites=twins.statistics()
    )


def test_a_profile_holds_every_statistic_by_its_full_name(subject: Subject) -> None:
    """In the order of the searches, each with the numbers that its search gave."""
    results = searches(np.random.default_rng(0))

    found = profile_of("a model", subject, results)

    assert tuple(found.statistics) == STATISTICS
    assert found.classes == 5
    for name, values in found.statistics.items():
        search, _, statistic = name.partition(".")
        assert np.array_equal(values, results[search].statistics[statistic])
        assert not values.flags.writeable


def test_a_profile_says_of_which_model_and_samples_it_is(subject: Subject) -> None:
    """By name, by digest, and by how well the model classifies them."""
    found = profile_of("a model", subject, searches(np.random.default_rng(0)))

    assert found.name == "a model"
    assert (found.digest, found.samples) == (subject.twin.digest, subject.samples.digest)
    assert found.clean_accuracy == subject.clean.clean_accuracy
