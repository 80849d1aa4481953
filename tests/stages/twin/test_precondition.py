"""What must hold before a verdict is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.twin.precondition import check_preconditions
from stages.twin.settings import PreconditionConfig
from stages.types import CleanSamples
from tests.support import twins

LOOSE = PreconditionConfig(min_samples=1, min_coverage=0.1, min_accuracy=0.0)


def reasons(samples: CleanSamples, **changes: float) -> str:
    config = PreconditionConfig(
        **{"min_samples": 1, "min_coverage": 0.1, "min_accuracy": 0.0} | changes  # type: ignore[arg-type]
    )
    return " ".join(check_preconditions(twins.twin(), samples, config).reasons)


def test_good_samples_pass() -> None:
    """Nothing is held against samples that the twin classifies, of most classes."""
    assert check_preconditions(twins.twin(), twins.samples(), LOOSE).reasons == ()


def test_logits_and_accuracy_are_the_twins() -> None:
    """The logits are the twin's own, and accuracy counts their agreement with the labels."""
    samples = twins.samples()

    found = check_preconditions(twins.twin(), samples, LOOSE)

    own = twins.twin().module(torch.tensor(samples.images)).numpy()
    np.testing.assert_allclose(found.logits, own, rtol=1e-5, atol=1e-5)
    assert found.clean_accuracy == 1.0


def test_some_classes_are_enough_of_many() -> None:
    """Though they are a small share; a trigger's target needs no samples of its own."""
    samples = twins.samples()
    covered = samples.classes

    assert reasons(samples, min_coverage=1.0, enough_classes=covered) == ""
    assert "at least 10 are needed" in reasons(
        CleanSamples(images=samples.images.copy(), labels=samples.labels % 5),
        min_coverage=1.0,
        enough_classes=10,
    )


def test_low_accuracy_blames_preprocessing() -> None:
    """Wrong labels or ranges make the accuracy fall, and the reason says what to check."""
    samples = twins.samples()
    shifted = CleanSamples(images=samples.images.copy(), labels=(samples.labels + 1) % 10)

    assert "preprocessing" in reasons(shifted, min_accuracy=0.5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"min_samples": 97}, "only 96 clean samples, at least 97 are needed"),
        ({"min_coverage": 1.0}, "of the model's 10 classes, at least 10 are needed"),
    ],
)
def test_each_shortfall_has_its_sentence(changes: dict[str, float], sentence: str) -> None:
    """Found against needed, for samples, classes covered, and classes at all."""
    samples = twins.samples()
    few = samples.labels < samples.labels.max()
    some = CleanSamples(images=samples.images.copy(), labels=np.where(few, samples.labels, 0))

    assert sentence in reasons(some, **changes)
