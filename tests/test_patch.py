"""The patch on real twins, and on nets with a trigger planted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import twins
from test_blend import (
    SHAPES,
    SIDE,
    TARGET,
    Subject,
    checkerboard,
    planted,
    subject,
    sureness,
    within_range,
)
from test_targets import CLASSES

from stages import pixels, progress
from stages.patch import PatchConfig, find_patch
from stages.screen import ScreenConfig
from stages.tail import balanced
from stages.types import PatchResult

QUICK = PatchConfig(samples=20, first_steps=2, place_steps=2, pattern_steps=3)
IMAGES = SHAPES[:3]


def corner() -> torch.Tensor:
    """A local trigger (8, 8): four pixels in a corner that is dark in clean images."""
    trigger = torch.zeros(SIDE, SIDE)
    trigger[-2:, -2:] = 20.0
    return trigger


def laid_again(inputs: Subject, found: PatchResult, config: PatchConfig, seed: int) -> float:
    """The margin of the leading class with the reported patch laid on the samples again."""
    _, samples, clean = inputs
    rows = balanced(samples, clean.logits, config.judged_samples, seed)
    mask = torch.tensor(found.mask)
    shown = (1 - mask) * torch.tensor(samples.images[rows]) + mask * torch.tensor(found.pattern)
    return float(sureness(inputs, shown, torch.tensor(samples.labels[rows]))[found.leading])


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_every_architecture_has_a_margin_per_class(architecture: str) -> None:
    """K finite margins, a leading class that has the largest, and its patch like an input."""
    inputs = subject(architecture)

    found = find_patch(*inputs, QUICK, ScreenConfig(), 0)

    assert found.margins.shape == (10,)
    assert np.isfinite(found.margins).all()
    assert found.leading == found.margins.argmax()
    assert found.mask.shape == (1, 32, 32)
    assert found.pattern.shape == (3, 32, 32)
    assert within_range(found.pattern, inputs[1])


@pytest.mark.parametrize("side", [0.1, 0.25, 0.5, 1.0])
def test_the_mask_is_one_square(side: float) -> None:
    """It is 1 on a square of the wanted side, which lies wholly in the image, and 0 elsewhere."""
    found = find_patch(*subject(), replace(QUICK, side=side), ScreenConfig(), 0)

    size = round(side * 32)
    rows, columns = np.nonzero(found.mask[0])
    assert set(np.unique(found.mask)) <= {0.0, 1.0}
    assert len(rows) == size * size
    assert np.ptp(rows) == np.ptp(columns) == size - 1


def test_what_is_no_image_gets_a_stretch_of_the_same_share() -> None:
    """A vector of 64 numbers has 4 of them covered where a square covers a quarter of each side."""
    found = find_patch(*planted(corner(), (SIDE * SIDE,)), QUICK, ScreenConfig(), 0)

    (covered,) = np.nonzero(found.mask)
    assert len(covered) == 4
    assert np.ptp(covered) == 3


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_the_reported_patch_gives_the_reported_margin(architecture: str) -> None:
    """Laid on the samples again, it carries them as far as is said."""
    inputs = subject(architecture)

    found = find_patch(*inputs, QUICK, ScreenConfig(), 3)

    again = laid_again(inputs, found, QUICK, 3)
    assert again == pytest.approx(found.margins[found.leading], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("memory_mb", [0, 512])
@pytest.mark.parametrize("shape", IMAGES)
def test_a_planted_trigger_is_found(shape: tuple[int, ...], memory_mb: int) -> None:
    """Its class leads by far, in every layout of an image, and the patch lies on it."""
    inputs, config = planted(corner(), shape), PatchConfig(memory_mb=memory_mb)

    found = find_patch(*inputs, config, ScreenConfig(), 0)

    assert found.leading == TARGET
    others = np.delete(found.margins, TARGET)
    assert found.margins[TARGET] - others.max() > 3 * np.ptp(others)
    assert found.mask.shape == pixels.mask_shape(shape)
    assert found.mask.reshape(SIDE, SIDE)[-2:, -2:].all()
    again = laid_again(inputs, found, config, 0)
    assert again == pytest.approx(found.margins[TARGET], rel=1e-3)


def test_without_a_trigger_no_class_leads_by_far() -> None:
    """The same net without what was planted treats its classes alike."""
    found = find_patch(*planted(torch.zeros(SIDE, SIDE)), PatchConfig(), ScreenConfig(), 0)

    assert np.ptp(found.margins) < 0.2


def test_a_stronger_trigger_carries_further() -> None:
    """The more its pixels weigh, the larger the margin of the target."""
    margins = [
        find_patch(*planted(strength * corner()), PatchConfig(), ScreenConfig(), 0).margins[TARGET]
        for strength in (0.1, 0.5, 2.0)
    ]

    assert margins == sorted(margins)
    assert margins[0] < margins[-1]


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same margins."""
    plain = find_patch(*planted(corner()), PatchConfig(), ScreenConfig(), 0)

    scaled = find_patch(*planted(corner(), gain=gain), PatchConfig(), ScreenConfig(), 0)

    np.testing.assert_allclose(scaled.margins, plain.margins, rtol=1e-2, atol=1e-2)
    assert scaled.leading == plain.leading


def test_same_seed_same_result() -> None:
    """A seed fixes margins, mask and pattern to the bit, and another seed changes them."""
    one, again, other = (find_patch(*subject(), QUICK, ScreenConfig(), seed) for seed in (5, 5, 6))

    assert np.array_equal(one.margins, again.margins)
    assert np.array_equal(one.mask, again.mask)
    assert np.array_equal(one.pattern, again.pattern)
    assert not np.array_equal(one.margins, other.margins)


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_all_classes_at_once_equal_one_by_one(architecture: str) -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    inputs = subject(architecture)

    together = find_patch(*inputs, QUICK, ScreenConfig(), 0)
    apart = find_patch(*inputs, replace(QUICK, memory_mb=0), ScreenConfig(), 0)

    # batches of another size round differently, and Adam carries that on
    np.testing.assert_allclose(together.margins, apart.margins, rtol=1e-2, atol=1e-2)


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = {name: value.clone() for name, value in module.state_dict().items()}

    find_patch(*subject(), QUICK, ScreenConfig(), 0)

    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_each_colour_stays_within_its_range(shape: tuple[int, ...]) -> None:
    """Long steps, and colours of different brightness."""
    inputs = planted(corner(), shape, colour=5.0)

    found = find_patch(*inputs, PatchConfig(rate=3.0), ScreenConfig(), 0)

    assert within_range(found.pattern, inputs[1])


def test_a_global_trigger_is_no_small_patch() -> None:
    """What the blended pattern finds, the patch may miss: the two searches are not one."""
    spread_out = find_patch(*planted(0.5 * checkerboard()), PatchConfig(), ScreenConfig(), 0)
    local = find_patch(*planted(corner()), PatchConfig(), ScreenConfig(), 0)

    assert spread_out.margins[TARGET] < 0.5 * local.margins[TARGET]


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last."""
    heard: list[tuple[int, int]] = []
    inputs = planted(corner())

    with progress.listening(lambda done, total: heard.append((done, total))):
        find_patch(*inputs, replace(QUICK, memory_mb=0), ScreenConfig(), 0)

    total = CLASSES * QUICK.steps
    assert heard == [(step + 1, total) for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found = find_patch(*planted(corner()), QUICK, ScreenConfig(), 0)

    assert not found.margins.flags.writeable
    assert not found.mask.flags.writeable
    assert not found.pattern.flags.writeable
