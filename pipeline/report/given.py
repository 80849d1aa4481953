"""What a scan was given, for a reader who looks for a mistake: samples, labels and predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.evidence import Evidence, ScanResult
from pipeline.report.pictures import Picture, can_be_shown, drawn, value_range
from stages.class_names import class_text
from stages.types import CleanSamples, Integers

MATRIX = 16
"""Classes up to which every pair of label and prediction has a cell."""
LISTED = 10
"""Pairs that are listed for more classes, and samples that are shown."""
SHADES = 4


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Samples of one label with one prediction; `shade` grows with their share, from 0 to 4."""

    count: int
    shade: int
    right: bool


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A label and a prediction that differ: how many of the samples with the label have it."""

    label: int
    predicted: int
    count: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample as the model sees it, with its label and, where it is known, the prediction."""

    label: int
    predicted: int | None
    picture: Picture


@dataclass(frozen=True, kw_only=True)
class Given:
    """The samples of a scan without a verdict: their values, some of them, and predictions.

    `matrix` has a row for each label and a column for each prediction; with more classes than fit,
    `mistakes` are the most frequent ones.
    """

    count: int
    shape: tuple[int, ...]
    low: float
    high: float
    samples: tuple[Sample, ...]
    matrix: tuple[tuple[Cell, ...], ...]
    mistakes: tuple[Mistake, ...]


def given(result: ScanResult) -> Given | None:
    """What an inconclusive scan was given, if it came to read its samples."""
    samples, clean = result.evidence.samples, result.evidence.precondition
    if result.verdict.label != "inconclusive" or samples is None:
        return None
    counts = np.zeros((0, 0), np.int64)
    if clean is not None:
        classes = clean.logits.shape[1]
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (samples.labels, clean.logits.argmax(1)), 1)
    is_small = len(counts) <= MATRIX
    return Given(
        count=len(samples),
        shape=samples.images.shape[1:],
        low=float(samples.images.min()),
        high=float(samples.images.max()),
        samples=tuple(_samples(result.evidence, samples)) if can_be_shown(samples) else (),
        matrix=tuple(map(_row, counts, range(len(counts)))) if is_small else (),
        mistakes=() if is_small else tuple(_mistakes(counts)),
    )


def _samples(evidence: Evidence, samples: CleanSamples) -> Iterator[Sample]:
    """The first sample of each of the first classes, then the second ones."""
    clean, limits = evidence.precondition, value_range(samples.images)
    for place in _in_turn(samples.labels)[:LISTED].tolist():
        label = int(samples.labels[place])
        predicted = None if clean is None else int(clean.logits[place].argmax())
        text = f"a sample labelled {class_text(label, evidence.class_names)}"
        yield Sample(
            label=label,
            predicted=predicted,
            picture=drawn(samples.images[place], limits, text),
        )


def _in_turn(labels: Integers) -> Integers:
    """The places of all samples, the first of every class before the second of any."""
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        (those,) = np.nonzero(labels == label)
        rank[those] = np.arange(len(those))
    return np.lexsort((labels, rank)).astype(np.int64)


def _row(counts: Integers, label: int) -> tuple[Cell, ...]:
    total = max(1, int(counts.sum()))
    return tuple(
        Cell(count=count, shade=math.ceil(SHADES * count / total), right=predicted == label)
        for predicted, count in enumerate(counts.tolist())
    )


def _mistakes(counts: Integers) -> Iterator[Mistake]:
    """The most frequent ones, of the lower labels first where they are as frequent."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    for place in np.argsort(-wrong, axis=None, kind="stable")[:LISTED].tolist():
        label, predicted = divmod(place, len(wrong))
        if wrong[label, predicted]:
            yield Mistake(
                label=label,
                predicted=predicted,
                count=int(wrong[label, predicted]),
                of=int(counts[label].sum()),
            )
