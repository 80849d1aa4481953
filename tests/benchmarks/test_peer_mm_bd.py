"""MM-BD: the largest margin of each class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.peers import mm_bd, pixels
from tests.support.peers import cornered


def test_margins_are_over_the_best_other_class() -> None:
    """h_t − max over k ≠ t, negative where another class wins."""
    logits = torch.tensor([[1.0, 5.0, 2.0], [7.0, 3.0, 9.0]])

    assert mm_bd.margins_of(logits, 0).tolist() == [-4.0, -2.0]
    assert mm_bd.margins_of(logits, 1).tolist() == [3.0, -6.0]


def test_ascent_raises_the_margin() -> None:
    """More steps reach a larger margin from the same start, inside the valid range."""
    twin, samples = cornered(60.0)
    valid = pixels.measure(torch.tensor(samples.images))
    start = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    reached = [
        mm_bd.largest_margin(twin, start, valid, 2, mm_bd.Config(steps=steps, tolerance=0))
        for steps in (1, 20)
    ]

    assert reached[0] < reached[1]


def test_mm_bd_finds_the_largest_margin() -> None:
    """A backdoor that outweighs every benign margin is named, and the clean net scores lower."""
    config = mm_bd.Config(steps=100)
    planted = mm_bd.find(*cornered(200.0), config, 0)
    clean = mm_bd.find(*cornered(0.0), config, 0)

    assert planted.suspected_class == 2
    assert planted.score > 1.3  # the paper's 5 %
    assert planted.score > clean.score


@pytest.mark.parametrize("null", [[9.0, 10.0, 11.0], [10.0, 10.0, 10.0], [10.0], [-4.0, -1.0, 2.0]])
def test_a_p_value_falls_as_the_largest_margin_grows(null: list[float]) -> None:
    """It stays in (0, 1], with few, equal or negative margins too."""
    found = [
        mm_bd.p_value(np.array([*null, largest], np.float32)) for largest in (11, 30, 1e3, 1e9)
    ]

    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < found[0] <= 1


def test_one_null_statistic_is_exponential() -> None:
    """P = 1 − (1 − exp(−r / mean))², for two classes."""
    found = mm_bd.p_value(np.array([2.0, 6.0], np.float32))

    assert found == pytest.approx(1 - (1 - np.exp(-3)) ** 2)
