"""Neural Cleanse: the smallest trigger of each class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.peers import neural_cleanse
from stages.types import CleanSamples
from tests.support.peers import QUICK_CLEANSE, cornered


def test_neural_cleanse_finds_a_planted_pixel() -> None:
    """The class that one bright pixel gives has by far the smallest trigger."""
    twin, samples = cornered(60.0)
    config = neural_cleanse.Config(steps=240)

    found = neural_cleanse.find(twin, samples, config, 0)

    assert found.suspected_class == 2
    assert found.score == found.per_class.max() > 0


def test_a_smaller_trigger_has_a_larger_index() -> None:
    """Indices count 1.4826 MAD below the median, and are negative above it."""
    indices = neural_cleanse.anomaly_indices(np.array([10.0, 11.0, 9.0, 10.0, 1.0]))

    assert np.allclose(indices * 1.4826, [0, -1, 1, 0, 9], atol=1e-5)


def test_equal_triggers_are_no_anomaly() -> None:
    """A MAD of zero divides nothing by zero."""
    assert not neural_cleanse.anomaly_indices(np.full(4, 3.0)).any()


def follow(cost: neural_cleanse.Cost, outcomes: str) -> None:
    for outcome in outcomes:
        cost.follow(succeeded=outcome == "+")


@pytest.mark.parametrize(
    ("outcomes", "value"),
    [
        ("-" * 12, 0.0),
        ("+" * 4, 0.0),
        ("+" * 5, 1e-3),
        ("+" * 10, 2e-3),
        ("+" * 9 + "-" + "+" * 4, 1e-3),
        ("+" * 10 + "-" * 5, 2e-3 / 2**1.5),
    ],
)
def test_the_cost_follows_success(outcomes: str, value: float) -> None:
    """Zero until five successes in a row; five more double it, five failures cut it by 2^1.5."""
    cost = neural_cleanse.Cost(neural_cleanse.Config())

    follow(cost, outcomes)

    assert cost.value == pytest.approx(value)


def test_the_cost_is_settled_once_it_rose_and_fell() -> None:
    """Only then may a class stop early."""
    cost = neural_cleanse.Cost(neural_cleanse.Config())

    follow(cost, "+" * 10)
    assert not cost.settled
    follow(cost, "-" * 5)

    assert cost.settled


def test_a_class_no_trigger_reaches_keeps_its_last_mask() -> None:
    """Its size is finite, so that it counts in the median."""
    twin, samples = cornered(0.0)
    images = torch.tensor(samples.images)
    config = neural_cleanse.Config(steps=4, success=1.1)

    size = neural_cleanse.smallest_trigger(
        twin, images, 0, config, torch.Generator().manual_seed(0)
    )

    assert 0 < size < 64


def stretched(samples: CleanSamples) -> CleanSamples:
    """The same images with pixels in [−3, 7]."""
    return CleanSamples(images=samples.images * 10 - 3, labels=samples.labels.copy())


def test_triggers_stay_in_the_valid_range() -> None:
    """Patterns lie between the lowest and the highest clean pixel."""
    images = torch.tensor(stretched(cornered(1.0)[1]).images)
    search = neural_cleanse.Search(
        cornered(1.0)[0], images, 2, QUICK_CLEANSE, torch.Generator().manual_seed(0)
    )

    for _ in range(5):
        search.window()

    pattern = search.pixels.from_unit(neural_cleanse.bounded(search.pattern))
    assert -3 <= pattern.min() < 0 < pattern.max() <= 7
