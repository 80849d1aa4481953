"""Margins of the classes that a search aims at, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stages.searches import margins
from stages.searches.margins import logit_gap

CLASSES = 5


def random_logits(group: int, seed: int = 0) -> torch.Tensor:
    """Logits (g, 7, K) of seven samples."""
    return torch.randn(group, 7, CLASSES, generator=torch.Generator().manual_seed(seed))


@given(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=6), st.integers(0, 100))
def test_margins_equal_brute_force(group: list[int], seed: int) -> None:
    """The target's logit minus the largest of all others, class by class and sample by sample."""
    logits = random_logits(len(group), seed)

    found = margins.margins(logits, torch.tensor(group))

    expected = [
        [row[t] - max(row[j] for j in range(CLASSES) if j != t) for row in rows]
        for t, rows in zip(group, logits.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), np.array(expected), rtol=1e-5, atol=1e-6)


def test_a_target_is_no_rival_of_itself() -> None:
    """Raising the target's logit raises its margin by as much, also where it leads already."""
    logits, group = random_logits(CLASSES), torch.arange(CLASSES)
    raised = logits + 10 * nn.functional.one_hot(group, CLASSES)[:, None, :]

    gained = margins.margins(raised, group) - margins.margins(logits, group)

    torch.testing.assert_close(gained, torch.full((CLASSES, 7), 10.0))


def test_a_margin_is_positive_exactly_where_the_target_wins() -> None:
    """Its sign says whether the sample goes to the target."""
    logits, group = random_logits(CLASSES), torch.arange(CLASSES)

    wins = margins.margins(logits, group) > 0

    assert torch.equal(wins, logits.argmax(-1) == group[:, None])
    assert wins.any()
    assert not wins.all()


def test_the_gradient_of_a_margin_reaches_the_target_and_one_rival() -> None:
    """One up, one down, nothing else: that is what a search climbs along."""
    logits = random_logits(1).requires_grad_()

    (slope,) = torch.autograd.grad(margins.margins(logits, torch.tensor([2])).sum(), logits)

    assert torch.equal(slope[0, :, 2], torch.ones(7))
    assert torch.equal(slope.sum(-1), torch.zeros(1, 7))
    assert torch.equal(slope.abs().sum(-1), torch.full((1, 7), 2.0))


def test_only_the_counted_samples_enter_the_mean() -> None:
    """Each class has samples of its own that count; what the others hold changes nothing."""
    values = torch.tensor([[1.0, 2.0, 1000.0], [-1000.0, 5.0, 7.0]])
    counted = torch.tensor([[True, True, False], [False, True, True]])

    assert margins.mean_over(values, counted).tolist() == [1.5, 6.0]


def test_a_class_without_counted_samples_has_mean_zero() -> None:
    """Where all samples are of the target itself, nothing was carried anywhere."""
    assert margins.mean_over(torch.ones(1, 4), torch.zeros(1, 4, dtype=torch.bool)).tolist() == [0]


@given(st.integers(0, 100), st.floats(-1, 1), st.floats(0.01, 100))
def test_standardised_margins_equal_brute_force(seed: int, shift: float, gain: float) -> None:
    """Of the samples that count, mean over deviation if it is positive, else over the usual one."""
    random = np.random.default_rng(seed)
    values, counted = random.normal(shift, 1, (4, 9)), random.random((4, 9)) < 0.7
    counted[:, :2] = True

    found = margins.standardised(torch.tensor(gain * values), torch.tensor(counted), 3 * gain)

    kept = [row[counts] for row, counts in zip(values, counted, strict=True)]
    expected = [each.mean() / (each.std() if each.mean() > 0 else 3) for each in kept]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_same_win_on_every_sample_is_the_largest_and_finite() -> None:
    """Nothing is divided by zero, and the sign stays."""
    values = torch.tensor([[2.0, 2.0, 2.0], [-2.0, -2.0, -2.0], [0.0, 0.0, 0.0]])

    found = margins.standardised(values, torch.ones(3, 3, dtype=torch.bool), usual=4.0)

    assert found.tolist() == [margins.LARGEST, -0.5, 0]


def test_an_even_win_counts_more_than_an_uneven_one() -> None:
    """Of two equal means the one that every sample shares counts more, if it is a win."""
    values = torch.tensor([[1.0, 1.1, 0.9, 1.0], [4.0, 0.0, 0.0, 0.0]])
    all_count = torch.ones(2, 4, dtype=torch.bool)

    even, uneven = margins.standardised(values, all_count, usual=1.0)
    evenly_lost, unevenly_lost = margins.standardised(-values, all_count, usual=1.0)

    assert even > 5 * uneven > 0
    assert evenly_lost == pytest.approx(unevenly_lost)


def test_the_logit_gap_is_the_median_lead() -> None:
    """First minus every other logit, in the median over samples and classes, in any order."""
    logits = np.array([[1, 5, 2], [0, 0.5, 10], [7, 6, -9]], np.float32)

    assert logit_gap(logits) == pytest.approx(6.75)
    assert logit_gap(logits[::-1, ::-1]) == pytest.approx(6.75)
    assert logit_gap(4 * logits + 100) == pytest.approx(27.0)


def test_equal_logits_have_a_gap_to_divide_by() -> None:
    """A net that tells nothing apart gives no division by zero."""
    assert logit_gap(np.zeros((3, 4), np.float32)) > 0
