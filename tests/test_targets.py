"""Margins, means and groups of the classes that a search aims at, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import twins
from hypothesis import given
from hypothesis import strategies as st
from torch import fx, nn

from stages import targets
from stages.canvas import canvas
from stages.types import TorchTwin

CLASSES = 5


def by_hand(net: nn.Module, classes: int = CLASSES) -> TorchTwin:
    """A twin of a net without noise sites, for searches that need none."""
    return TorchTwin(
        module=fx.symbolic_trace(net.eval().requires_grad_(requires_grad=False)),
        digest=f"{classes} classes by hand",
        device=torch.device("cpu"),
        classes=classes,
        trainable_share=1.0,
        sites=(),
        features="",
        classifier="",
    )


def linear(pixels: int = 64) -> TorchTwin:
    torch.manual_seed(3)
    return by_hand(nn.Sequential(nn.Flatten(), nn.Linear(pixels, CLASSES)))


def random_logits(group: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(group, 7, CLASSES, generator=torch.Generator().manual_seed(seed))


@given(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=6), st.integers(0, 100))
def test_margins_equal_brute_force(group: list[int], seed: int) -> None:
    """The target's logit minus the largest of all others, class by class and sample by sample."""
    logits = random_logits(len(group), seed)

    found = targets.margins(logits, torch.tensor(group))

    expected = [
        [row[t] - max(row[j] for j in range(CLASSES) if j != t) for row in rows]
        for t, rows in zip(group, logits.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), np.array(expected), rtol=1e-5, atol=1e-6)


def test_a_target_is_no_rival_of_itself() -> None:
    """Raising the target's logit raises its margin by as much, also where it leads already."""
    logits, group = random_logits(CLASSES), torch.arange(CLASSES)
    raised = logits + 10 * nn.functional.one_hot(group, CLASSES)[:, None, :]

    gained = targets.margins(raised, group) - targets.margins(logits, group)

    torch.testing.assert_close(gained, torch.full((CLASSES, 7), 10.0))


def test_a_margin_is_positive_exactly_where_the_target_wins() -> None:
    """Its sign says whether the sample goes to the target."""
    logits, group = random_logits(CLASSES), torch.arange(CLASSES)

    wins = targets.margins(logits, group) > 0

    assert torch.equal(wins, logits.argmax(-1) == group[:, None])
    assert wins.any()
    assert not wins.all()


def test_the_gradient_of_a_margin_reaches_the_target_and_one_rival() -> None:
    """One up, one down, nothing else: that is what a search climbs along."""
    logits = random_logits(1).requires_grad_()

    (slope,) = torch.autograd.grad(targets.margins(logits, torch.tensor([2])).sum(), logits)

    assert torch.equal(slope[0, :, 2], torch.ones(7))
    assert torch.equal(slope.sum(-1), torch.zeros(1, 7))
    assert torch.equal(slope.abs().sum(-1), torch.full((1, 7), 2.0))


def test_only_the_counted_samples_enter_the_mean() -> None:
    """Each class has samples of its own that count; what the others hold changes nothing."""
    values = torch.tensor([[1.0, 2.0, 1000.0], [-1000.0, 5.0, 7.0]])
    counted = torch.tensor([[True, True, False], [False, True, True]])

    assert targets.mean_over(values, counted).tolist() == [1.5, 6.0]


def test_a_class_without_counted_samples_has_mean_zero() -> None:
    """Where all samples are of the target itself, nothing was carried anywhere."""
    assert targets.mean_over(torch.ones(1, 4), torch.zeros(1, 4, dtype=torch.bool)).tolist() == [0]


@pytest.mark.parametrize("memory_mb", [0, 1, 2, 512])
@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_groups_cover_every_class_once_and_in_order(architecture: str, memory_mb: int) -> None:
    """Whatever the memory, the groups one after the other are the classes."""
    twin, images = twins.twin(architecture), torch.tensor(twins.samples().images[:20])

    found = targets.groups(twin, images, torch.arange(10), memory_mb)

    assert torch.cat(found).tolist() == list(range(10))
    assert all(len(group) for group in found)


def test_more_memory_makes_fewer_groups() -> None:
    """From one class each to all at once, never more groups with more memory."""
    twin, images = twins.twin(), torch.tensor(twins.samples().images[:20])

    classes = torch.arange(10)

    counts = [
        len(targets.groups(twin, images, classes, memory)) for memory in (0, 1, 10, 20, 40, 512)
    ]

    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (10, 1)
    assert len(set(counts)) > 2


def test_the_activations_of_a_group_fit_into_the_memory() -> None:
    """Twice the samples halve the groups, and what a group holds in float32 is within the bound."""
    twin = linear(pixels=4096)
    images = torch.zeros(16, 1, 64, 64)

    few, many = (
        len(targets.groups(twin, images.repeat(times, 1, 1, 1), torch.arange(5), 4)[0])
        for times in (1, 2)
    )

    # the input, its flat form and the logits, forward and backward
    assert few * 16 * 2 * 4 * (2 * 4096 + CLASSES) <= 4 * 2**20
    assert (few, many) == (2, 1)


def test_a_canvas_holds_what_a_trigger_is_laid_on() -> None:
    """Correctly classified samples only, all classes alike, and the values that inputs take."""
    twin, samples, clean = twins.twin(), twins.samples(), twins.clean()

    found = canvas(twin, samples, clean, 20, 0)

    assert found.images.shape == (20, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(twin.module(found.images).argmax(1), found.labels)
    assert found.labels.unique().numel() == samples.classes
    assert bool((found.values(torch.zeros(3, 32, 32)) == found.low).all())
    torch.testing.assert_close(found.values(torch.ones(3, 32, 32)), found.high.expand(3, 32, 32))


def test_a_seed_draws_the_samples_of_a_canvas() -> None:
    """The same ones again, and others for another seed."""
    inputs = twins.twin(), twins.samples(), twins.clean()

    one, again, other = (canvas(*inputs, 20, seed).images for seed in (5, 5, 6))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_logits_of_many_images_are_those_of_the_module() -> None:
    """Folding the classes into the batch changes no logit."""
    twin = twins.twin()
    shown = torch.tensor(twins.samples().images[:12]).reshape(3, 4, 3, 32, 32)

    found = canvas(twin, twins.samples(), twins.clean(), 20, 0).logits(shown)

    expected = torch.stack([twin.module(images) for images in shown])
    assert found.shape == (3, 4, 10)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 100), st.floats(-1, 1), st.floats(0.01, 100))
def test_sureness_equals_brute_force(seed: int, shift: float, gain: float) -> None:
    """Of the samples that count, mean over deviation if it is positive, else over the usual one."""
    random = np.random.default_rng(seed)
    values, counted = random.normal(shift, 1, (4, 9)), random.random((4, 9)) < 0.7
    counted[:, :2] = True

    found = targets.sureness(torch.tensor(gain * values), torch.tensor(counted), 3 * gain)

    told = [row[counts] for row, counts in zip(values, counted, strict=True)]
    expected = [each.mean() / (each.std() if each.mean() > 0 else 3) for each in told]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_same_win_on_every_sample_is_the_surest_and_finite() -> None:
    """Nothing is divided by zero, and the sign stays."""
    values = torch.tensor([[2.0, 2.0, 2.0], [-2.0, -2.0, -2.0], [0.0, 0.0, 0.0]])

    found = targets.sureness(values, torch.ones(3, 3, dtype=torch.bool), usual=4.0)

    assert found.tolist() == [targets.SUREST, -0.5, 0]


def test_an_even_win_is_surer_than_an_uneven_one() -> None:
    """Of two equal means the one that every sample shares is the surer, if it is a win."""
    values = torch.tensor([[1.0, 1.1, 0.9, 1.0], [4.0, 0.0, 0.0, 0.0]])
    all_count = torch.ones(2, 4, dtype=torch.bool)

    even, uneven = targets.sureness(values, all_count, usual=1.0)
    evenly_lost, unevenly_lost = targets.sureness(-values, all_count, usual=1.0)

    assert even > 5 * uneven > 0
    assert evenly_lost == pytest.approx(unevenly_lost)
