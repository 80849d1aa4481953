"""Finds another numbering of the classes that explains a model's predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from stages.types import Floats, Integers

LEAST = 3
"""Samples of a class, on average, below which any order would seem to fit."""
SHOWN = 20
"""Classes up to which a map is written out."""


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """Another numbering: in words, as code that makes the right labels (empty where that would be
    long), and the accuracy in [0, 1] with it.
    """

    words: str
    code: str
    accuracy: float


def best_map(logits: Floats, labels: Integers) -> LabelMap:
    """The numbering under which most samples (N,) are classified as labelled by logits (N, K).

    A permutation is fitted to one half of the samples, and its accuracy is that on the other half.
    """
    predicted, classes = logits.argmax(1), logits.shape[1]
    found = [_shifted(predicted, labels, by) for by in (-1, 1)]
    if len(labels) >= LEAST * classes:
        found.append(_permuted(predicted, labels, classes))
    return max(found, key=lambda each: each.accuracy)


def _shifted(predicted: Integers, labels: Integers, by: int) -> LabelMap:
    first = "1, and the model from 0" if by < 0 else "0, and the model from 1"
    return LabelMap(
        words=f"the labels count the classes from {first}",
        code=f"labels {'-' if by < 0 else '+'} 1",
        accuracy=float((predicted == labels + by).mean()),
    )


def _permuted(predicted: Integers, labels: Integers, classes: int) -> LabelMap:
    fitted, held_out = _halves(labels)
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels[fitted], predicted[fitted]), 1)
    _, table = linear_sum_assignment(counts, maximize=True)
    return LabelMap(
        words=_words(table, classes),
        code=f"numpy.array({table.tolist()})[labels]" if classes <= SHOWN else "",
        accuracy=float((predicted[held_out] == table[labels[held_out]]).mean()),
    )


def _halves(labels: Integers) -> tuple[Integers, Integers]:
    """The places of every other sample of each class, and of those between."""
    order = np.argsort(labels, kind="stable")
    return order[::2], order[1::2]


def _words(table: Integers, classes: int) -> str:
    as_text = sorted(range(classes), key=str)
    if np.array_equal(table, as_text):
        return "the labels number the classes as text is sorted, 10 before 2"
    if np.array_equal(table, np.argsort(as_text)):
        return "the model numbers the classes as text is sorted, 10 before 2"
    if np.array_equal(table, np.arange(classes)[::-1]):
        return "the labels count the classes from the last one back"
    moved = [(label, int(to)) for label, to in enumerate(table) if label != to]
    pairs = ", ".join(f"{label} is the model's {to}" for label, to in moved[:4])
    return f"the labels number the classes in another order: {pairs}{' …' if moved[4:] else ''}"
