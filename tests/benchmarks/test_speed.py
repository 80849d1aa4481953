"""What a scan of many classes shows is counted without a net of so many."""

from __future__ import annotations

from benchmarks.speed import images_shown
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.pace.estimate import works_of
from stages.searches.screen import ScreenConfig
from tests.support.subjects import demo_subject


def test_its_own_number_is_that_of_the_estimate() -> None:
    """Of a net of ten classes, all that its searches show."""
    subject = demo_subject("clean")

    works = works_of(subject, ScanConfig(), Store(None))

    assert images_shown(subject, 10) == sum(each.images for each in works)


def test_it_grows_slower_than_the_classes() -> None:
    """In proportion while all classes are searched, and beyond by looks at them."""
    subject, most = demo_subject("clean"), ScreenConfig().all_up_to

    few, all_searched, many, thousand = (images_shown(subject, k) for k in (10, most, 100, 1000))

    assert few < all_searched < few * most / 10
    assert few < many < thousand < 10 * many
    assert thousand < 4 * few
