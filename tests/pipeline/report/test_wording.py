"""Every search and statistic has its words in one place, and none is left over."""

from __future__ import annotations

from dataclasses import fields

import pytest

from pipeline.evidence import Evidence
from pipeline.report.wording import (
    PUBLISHED,
    WORDING,
    meanings,
    p_text,
    permuted_text,
    score_text,
    success_text,
    title_of,
)
from stages.published.results import BanResult
from stages.published.statistics import ban_statistic, masked_statistics
from stages.searches import SEARCHES, STATISTICS
from stages.searches.search import AttackSuccess, Search


def test_every_search_has_wording_and_none_is_left_over() -> None:
    """The entries are those of the registered searches, in their order."""
    assert list(WORDING) == [search.name for search in SEARCHES]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_an_entry_fits_its_search(search: Search) -> None:
    """It titles exactly the search's statistics, names real settings, and says nothing empty."""
    entry = WORDING[search.name]

    assert list(entry.statistics) == [spec.name for spec in search.statistics]
    assert set(entry.settings) <= {each.name for each in fields(search.settings)}
    assert all((entry.title, entry.trigger, *entry.statistics.values()))
    assert entry.asks.endswith("?")
    assert "{" not in entry.trigger.format(target="class 3")


def test_no_two_numbers_have_one_title() -> None:
    """Titles of searches, of their statistics and of published algorithms all differ."""
    titles = [title_of(name) for name in (*STATISTICS, *PUBLISHED)]

    assert len(set(titles)) == len(titles)
    assert len({entry.title for entry in WORDING.values()}) == len(WORDING)
    assert not any("score" in title.lower() for title in titles)


def test_every_statistic_has_a_meaning() -> None:
    """What a large value means stands with the search, and all differ."""
    assert tuple(meanings()) == STATISTICS
    assert len(set(meanings().values())) == len(STATISTICS)


def test_published_algorithms_have_titles_and_none_is_left_over(evidence: Evidence) -> None:
    """The titles are those of the statistics that published algorithms give."""
    assert evidence.precondition is not None
    assert evidence.untargeted is not None
    assert evidence.mask is not None
    ban = BanResult(predictions=evidence.mask.predictions, share=1.0, accuracy=0.2)

    found = masked_statistics(evidence.precondition, evidence.untargeted, evidence.mask)

    assert list(PUBLISHED) == [each.name for each in (*found, ban_statistic(ban))]


@pytest.mark.parametrize(
    ("p", "is_bound", "text"),
    [
        (0.0731, False, "0.073"),
        (1 / 64, True, "< 0.016"),
        (1.0, False, "1"),
        (None, False, "unknown"),
    ],
)
def test_a_p_value_is_a_number_or_a_bound(p: float | None, is_bound: bool, text: str) -> None:
    """Where it is only known to be smaller, the text says so."""
    assert p_text(p, is_bound) == text


@pytest.mark.parametrize(("score", "text"), [(0.0, "0.00"), (4.987, "4.99"), (12.3456, "12.35")])
def test_a_score_has_two_decimals(score: float, text: str) -> None:
    """As many in every report, so that it reads as the same number."""
    assert score_text(score) == text


@pytest.mark.parametrize("inside", [False, True])
def test_a_success_names_its_samples_and_its_place(inside: bool) -> None:
    """The rate stands with the number of samples; noise is said to act inside the twin."""
    text = success_text(AttackSuccess(rate=0.9, samples=160, inside_twin=inside), 3, ())

    assert "90% of 160 clean images of other classes into class 3" in text
    assert ("inside the twin" in text) == inside
    assert ("the recovered trigger" in text) == (not inside)


def test_the_success_of_a_permutation_names_no_class() -> None:
    """Every class has one of its own, so the sentence says that, with rate and samples."""
    text = permuted_text(AttackSuccess(rate=0.9, samples=160))

    assert "90% of 160 clean images to the class that theirs goes to" in text
    assert "of other classes" not in text
