"""The attack success rate of what a search recovered, on samples it was not searched on."""

from __future__ import annotations

from stages.later import torch
from stages.searches.probe import balanced
from stages.searches.search import AttackSuccess, Subject
from stages.searches.trigger import Trigger
from stages.twin.precondition import predict
from stages.types import Floats, Integers

MOST = 200
"""Evaluation samples at most: enough for a share, and few against what a search shows."""


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
    images, labels = evaluation_samples(subject, searched, seed)
    images = images[labels != target if source is None else labels == source]
    if not len(images):
        return None
    predicted = predict(subject.twin, torch.tensor(trigger.apply(images))).argmax(1)
    rate = float((predicted == target).mean())
    return AttackSuccess(rate=rate, samples=len(images), source=source)


def evaluation_samples(subject: Subject, searched: int, seed: int) -> tuple[Floats, Integers]:
    """Images (n, *input shape) and labels (n,) that were not among the first `searched`."""
    count = searched + MOST
    rows = balanced(subject.samples, subject.clean.logits, count, seed)[searched:]
    return subject.samples.images[rows], subject.samples.labels[rows]
