"""The table of classes has every number that a scan knows of each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evidence import ScanResult
from pipeline.report.verdict_json import class_table
from pipeline.report.wording import PUBLISHED
from stages.published.results import BanResult
from stages.published.statistics import ban_statistic
from stages.searches import STATISTICS
from stages.types import CleanSamples, Verdict
from stages.verdict.decide import with_published
from tests.support.finished_scans import ended_at, with_evidence

Make = Callable[..., ScanResult]


def test_the_table_has_a_row_per_class(make_result: Make) -> None:
    """Columns of equal length, with the numbers of the evidence."""
    table = class_table(make_result())

    assert {len(column) for column in table.values()} == {5}
    assert table["class"] == [0, 1, 2, 3, 4]
    assert table["samples"] == table["clean_predictions"] == [8] * 5
    assert table["recall"] == [1.0] * 5
    assert table["anomaly_score"] == [0.25, 0.0, 0.5, 5.125, 0.75]
    assert table["untargeted_noise"] == pytest.approx([-0.175, -0.15, -0.125, 0.55, -0.1])
    assert table["feature_mask"] == pytest.approx([-0.2, -0.2, -0.2, 0.8, -0.2])


def test_it_has_every_statistic_of_every_search(make_result: Make) -> None:
    """Each by its full name, with the values that the search gave."""
    result = make_result()

    table = class_table(result)

    assert [name for name in table if "." in name] == list(STATISTICS)
    for name in STATISTICS:
        search, _, statistic = name.partition(".")
        values = result.evidence.searches[search].statistics[statistic]
        assert table[name] == values.tolist()


def test_a_class_without_samples_has_no_recall(make_result: Make) -> None:
    """Nothing is divided by zero."""
    result = make_result()
    samples = result.evidence.samples
    assert samples is not None
    fewer = CleanSamples(images=samples.images, labels=samples.labels % 4)

    assert class_table(with_evidence(result, samples=fewer))["recall"][4] is None


def test_the_table_keeps_its_columns(make_result: Make, refused: ScanResult) -> None:
    """Where the scan did not come that far the column is empty; without classes there is no row."""
    whole = class_table(make_result())

    partly = class_table(ended_at(make_result(), "find_blend"))

    assert list(partly) == list(whole) == list(class_table(refused))
    for name in (*STATISTICS, *PUBLISHED):
        assert partly[name] == [None] * 5
    assert partly["recall"] == [1.0] * 5
    assert {len(column) for column in class_table(refused).values()} == {0}


def test_the_published_algorithm_has_its_column(make_result: Make) -> None:
    """Where it ran, the table shows what it predicts."""
    ban = BanResult(predictions=np.array([0, 0, 9, 31, 0]), share=0.775, accuracy=0.2)
    result = make_result()
    verdict = with_published(result.verdict, ban_statistic(ban))

    table = class_table(replace(with_evidence(result, ban=ban), verdict=verdict))

    assert table["published_ban"] == pytest.approx([0, 0, 0.225, 0.775, 0])


def test_classes_are_known_from_the_twin_on(make_result: Make) -> None:
    """If only the conversion succeeded, there is a row per class with nothing in it."""
    result = ended_at(make_result(), "check_preconditions")
    assert result.verdict == Verdict(label="inconclusive", reasons=("it broke",))

    table = class_table(result)

    assert table.pop("class") == [0, 1, 2, 3, 4]
    assert all(column == [None] * 5 for column in table.values())
