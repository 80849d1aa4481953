"""The attack success rate of what a search recovered, on samples it was not searched on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stages.searches.probe import balanced
from stages.searches.search import AttackSuccess, Subject
from stages.searches.trigger import Trigger
from stages.twin.precondition import predict
from stages.types import Floats, Integers

MOST = 200
"""Evaluation samples at most: enough for a share, and few against what a search shows."""
AT_ONCE = 32
"""Samples that get a trigger at once: of large images every copy takes much memory."""


def attack_success(
    subject: Subject,
    trigger: Trigger,
    target: int,
    searched: int,
    seed: int,
    source: int | None = None,
) -> AttackSuccess | None:
    """How often the trigger carries evaluation samples of other classes to the target, or those of
    one `source` class.

    The first `searched` samples, those of the search, are left out; None where no other is there.
    """

    def predicted(images: Floats) -> Integers:
        classes: Integers = predict(subject.twin, trigger.apply(images)).argmax(1)
        return classes

    return success_of(predicted, subject, target, searched, seed, source)


def success_of(
    predicted: Callable[[Floats], Integers],
    subject: Subject,
    target: int,
    searched: int,
    seed: int,
    source: int | None = None,
) -> AttackSuccess | None:
    """The same of whatever `predicted` says of images (n, *input shape): their classes (n,)."""
    rows = evaluation_rows(subject, searched, seed)
    labels = subject.samples.labels[rows]
    rows = rows[labels != target if source is None else labels == source]
    if not len(rows):
        return None
    parts = np.split(rows, range(AT_ONCE, len(rows), AT_ONCE))
    found = np.concatenate([predicted(subject.samples.images[part]) for part in parts])
    return AttackSuccess(rate=float((found == target).mean()), samples=len(rows), source=source)


def evaluation_rows(subject: Subject, searched: int, seed: int) -> Integers:
    """The rows (n,) of samples that were not among the first `searched`."""
    return balanced(subject.samples, subject.clean.logits, searched + MOST, seed)[searched:]
