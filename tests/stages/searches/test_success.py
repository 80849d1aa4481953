"""Attack success rates are of samples that no search saw, a few under a trigger at once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from stages.searches.success import AT_ONCE, attack_success, evaluation_rows, success_of
from stages.searches.trigger import Overlay
from stages.types import Floats, Integers
from tests.support.subjects import demo_subject

SEARCHED = 20


@dataclass(frozen=True)
class Noting(Overlay):
    """A trigger that notes how many images it is laid on."""

    counts: list[int] = field(default_factory=list)

    def apply(self, images: Floats) -> Floats:
        """The images with the pattern blended in."""
        self.counts.append(len(images))
        return super().apply(images)


def test_few_images_carry_a_trigger_at_once() -> None:
    """Every copy of large images takes memory; together they are all that count."""
    subject = demo_subject("patch")
    trigger = Noting(opacity=0.5, pattern=np.zeros_like(subject.samples.images[0]))

    success = attack_success(subject, trigger, 3, SEARCHED, 0)

    assert success is not None
    assert max(trigger.counts) == AT_ONCE
    assert sum(trigger.counts) == success.samples > AT_ONCE


@pytest.mark.parametrize("source", [None, 5])
def test_the_rate_is_the_share_that_goes_to_the_target(source: int | None) -> None:
    """Of the samples of all other classes, or of one source class."""
    subject, target = demo_subject("patch"), 3
    labels = subject.samples.labels[evaluation_rows(subject, SEARCHED, 0)]
    counted = labels[labels != target if source is None else labels == source]
    random = np.random.default_rng(0)
    answers = random.integers(0, 5, len(counted))
    given = iter(answers.tolist())

    def predicted(images: Floats) -> Integers:
        return np.array([next(given) for _ in images])

    success = success_of(predicted, subject, target, SEARCHED, 0, source)

    assert success is not None
    assert success.rate == (answers == target).mean()
    assert (success.samples, success.source) == (len(counted), source)


def test_without_other_samples_there_is_no_rate() -> None:
    """Nothing is predicted then."""
    subject = demo_subject("patch")

    assert success_of(pytest.fail, subject, 3, len(subject.samples), 0) is None
