"""The paper's untargeted noise on a real twin."""

from __future__ import annotations

import numpy as np

from stages import progress
from tests.support import twins


def test_same_seed_same_noise() -> None:
    """A seed fixes everything, and another seed changes the noise."""
    one, again, other = (twins.untargeted_noise(seed=seed) for seed in (0, 0, 1))

    assert all(np.array_equal(a, b) for a, b in zip(one.scale, again.scale, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one.scale, other.scale, strict=True))


def test_untargeted_noise_raises_the_loss_within_its_ball() -> None:
    """The loss ends higher than it began, and no noise leaves ±ε: the projection is real."""
    found = twins.untargeted_noise(epsilon=0.2)

    assert found.loss[-1] > found.loss[0]
    assert max(np.abs(each).max() for each in (*found.scale, *found.shift)) <= 0.2 + 1e-6
    assert found.predictions.sum() == 20


def test_no_noise_no_change() -> None:
    """With ε = 0 the samples, all classified correctly, stay so."""
    assert twins.untargeted_noise(epsilon=0.0).accuracy == 1.0


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = twins.weights(module)

    twins.untargeted_noise()

    assert twins.untouched(module, before)


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step up to the last."""
    heard: list[tuple[int, int]] = []

    with progress.listening(lambda done, total: heard.append((done, total))):
        found = twins.untargeted_noise()

    total = len(found.loss)
    assert heard == [(step + 1, total) for step in range(total)]
