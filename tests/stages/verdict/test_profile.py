"""A class profile holds what every search says of every class."""

from __future__ import annotations

import numpy as np
import pytest

from stages.searches import SEARCHES, STATISTICS
from stages.searches.screen import Chosen
from stages.searches.search import Effort, SearchResult, Subject
from stages.verdict.profile import profile_of
from tests.support import twins


@pytest.fixture
def subject() -> Subject:
    return Subject(
        twin=twins.twin(), samples=twins.samples(), clean=twins.clean(), sites=twins.statistics()
    )


def searches(random: np.random.Generator) -> dict[str, SearchResult]:
    """What every search says of five classes, at random."""
    return {
        search.name: SearchResult(
            statistics={spec.name: random.random(5, np.float32) for spec in search.statistics},
            targets=(),
            effort=Effort(steps=0, images=0),
        )
        for search in SEARCHES
    }


def chosen() -> Chosen:
    """Five classes, of which three are ordinary."""
    return Chosen(classes=np.arange(5), ordinary=np.array([0, 2, 4]), looked={})


def test_a_profile_holds_every_statistic_by_its_full_name(subject: Subject) -> None:
    """In the order of the searches, each with the numbers that its search gave."""
    results = searches(np.random.default_rng(0))

    found = profile_of("a model", subject, chosen(), results)

    assert tuple(found.statistics) == STATISTICS
    assert found.classes == 5
    for name, values in found.statistics.items():
        search, _, statistic = name.partition(".")
        assert np.array_equal(values, results[search].statistics[statistic])
        assert not values.flags.writeable


def test_a_profile_says_of_which_model_and_samples_it_is(subject: Subject) -> None:
    """By name, by digest, and by how well the model classifies them."""
    found = profile_of("a model", subject, chosen(), searches(np.random.default_rng(0)))

    assert found.name == "a model"
    assert (found.digest, found.samples) == (subject.twin.digest, subject.samples.digest)
    assert found.clean_accuracy == subject.clean.clean_accuracy


def test_a_profile_says_what_is_ordinary_and_how_large_the_images_are(subject: Subject) -> None:
    """The ordinary classes of the choice, read-only, and the smaller side in pixels."""
    found = profile_of("a model", subject, chosen(), searches(np.random.default_rng(0)))

    assert found.ordinary.tolist() == [0, 2, 4]
    assert not found.ordinary.flags.writeable
    assert found.side == 32
