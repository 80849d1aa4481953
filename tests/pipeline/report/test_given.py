"""A refused report shows what the scanner was given, so that a mistake is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evidence import ScanResult
from pipeline.report.given import LISTED, MATRIX, given
from pipeline.report.html_page import render
from stages.types import CleanSamples, Floats, PreconditionResult, Verdict
from tests.support.finished_scans import ended_at, with_evidence
from tests.support.report_pages import Reader, with_names

Make = Callable[..., ScanResult]
TITLE = "What the scanner was given"
NAMES = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture
def wrong(make_result: Make) -> ScanResult:
    """A scan of 5 classes in which every sample is taken for the next class."""
    result = with_names(make_result(), NAMES)
    clean, samples = result.evidence.precondition, result.evidence.samples
    assert clean is not None
    assert samples is not None
    logits = np.eye(5, dtype=np.float32)[(samples.labels + 1) % 5]
    failed = replace(clean, logits=logits, clean_accuracy=0.0, reasons=("accuracy is 0.00",))
    verdict = Verdict(label="inconclusive", reasons=failed.reasons)
    return with_evidence(replace(result, verdict=verdict), precondition=failed)


def test_every_sample_is_counted_once_by_label_and_prediction(wrong: ScanResult) -> None:
    """Rows are labels, columns are predictions; the diagonal alone is right."""
    found = given(wrong)

    assert found is not None
    counts = np.array([[cell.count for cell in row] for row in found.matrix])
    assert counts.sum() == found.count == 40
    assert (counts == 8 * np.roll(np.eye(5, dtype=int), 1, axis=1)).all()
    assert all(c.right == (i == j) for i, row in enumerate(found.matrix) for j, c in enumerate(row))
    assert {cell.shade for row in found.matrix for cell in row} == {0, 4}


def test_the_page_shows_samples_with_label_and_prediction(wrong: ScanResult) -> None:
    """By name, a sample of each class first, with the range of values and the matrix."""
    page = Reader(render(wrong))
    chapter = page.chapters[TITLE]

    assert "40 samples of the shape 1 × 4 × 4, with values from" in chapter
    for name, seen in zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True):
        assert f"label: {name} model: {seen}".replace(" ", "") in chapter.replace(" ", "")
    assert sum(each.startswith("a sample labelled class") for each in page.spoken) == LISTED
    assert "Confusion matrix" in chapter


@pytest.mark.parametrize("classes", [MATRIX + 1, 1000])
def test_many_classes_have_their_most_frequent_mistakes(wrong: ScanResult, classes: int) -> None:
    """A matrix of them would not be read."""
    clean = wrong.evidence.precondition
    assert clean is not None
    wide = np.zeros((40, classes), np.float32)
    wide[:, :5] = clean.logits

    found = given(with_evidence(wrong, precondition=replace(clean, logits=wide)))

    assert found is not None
    assert found.matrix == ()
    assert [(each.label, each.predicted) for each in found.mistakes] == [
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 0)
    ]  # fmt: skip
    assert all((each.count, each.of) == (8, 8) for each in found.mistakes)


def test_before_the_model_saw_them_samples_have_labels_alone(make_result: Make) -> None:
    """A scan that ended at the twin has no predictions, and the page says so."""
    result = ended_at(make_result(), "build_twin")

    found, chapter = given(result), Reader(render(result)).chapters[TITLE]

    assert found is not None
    assert all(each.predicted is None for each in found.samples)
    assert "there are no predictions" in chapter
    assert "model:" not in chapter


def test_only_a_scan_without_a_verdict_shows_it(make_result: Make, refused: ScanResult) -> None:
    """A judged model needs it not, and a file that was refused at once has nothing to show."""
    assert given(make_result()) is None
    assert given(refused) is None
    assert TITLE not in Reader(render(make_result())).chapters


def test_rows_of_numbers_have_a_matrix_and_no_pictures(wrong: ScanResult) -> None:
    """Samples that are no images are still counted."""
    samples, clean = wrong.evidence.samples, wrong.evidence.precondition
    assert samples is not None
    assert isinstance(clean, PreconditionResult)
    flat: Floats = samples.images.reshape(len(samples), -1)
    rows = CleanSamples(images=flat.copy(), labels=samples.labels.copy())

    found = given(with_evidence(wrong, samples=rows))

    assert found is not None
    assert found.samples == ()
    assert len(found.matrix) == 5
