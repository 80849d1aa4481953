"""The warp on real twins, and on a net that is made to see where a bright line lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import twins
from test_blend import SHAPES, SIDE, planted, subject, sureness
from test_targets import CLASSES
from torch.nn import functional

from stages import progress
from stages.screen import ScreenConfig
from stages.tail import balanced
from stages.types import Floats
from stages.warp import WarpConfig, find_warp

QUICK = WarpConfig(steps=4)
IMAGES = SHAPES[:3]


def bent(images: torch.Tensor, flow: Floats) -> torch.Tensor:
    """Images (N, C, H, W), each read where the flow (H, W, 2) says, without the code under test."""
    height, width = images.shape[2:]
    across = torch.linspace(-1, 1, width).expand(height, width)
    down = torch.linspace(-1, 1, height)[:, None].expand(height, width)
    places = torch.stack([across, down], -1) + torch.tensor(flow)
    return functional.grid_sample(
        images,
        places.expand(len(images), -1, -1, -1),
        padding_mode="border",
        align_corners=True,
    )


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet", "vit", "mlp"])
def test_every_architecture_has_a_margin_per_class(architecture: str) -> None:
    """K finite margins, a leading class that has the largest, and its flow over the image."""
    found = find_warp(*subject(architecture), QUICK, ScreenConfig(), 0)

    assert found.margins.shape == (10,)
    assert np.isfinite(found.margins).all()
    assert found.leading == found.margins.argmax()
    assert found.flow.shape == (32, 32, 2)


@pytest.mark.parametrize("architecture", ["small_cnn", "vit"])
def test_the_reported_flow_gives_the_reported_margin(architecture: str) -> None:
    """Samples bent by it are carried as far as is said."""
    _, samples, clean = inputs = subject(architecture)
    rows = balanced(samples, clean.logits, QUICK.judged_samples, 3)

    found = find_warp(*inputs, QUICK, ScreenConfig(), 3)

    shown = bent(torch.tensor(samples.images[rows]), found.flow)
    again = sureness(inputs, shown, torch.tensor(samples.labels[rows]))
    assert again[found.leading] == pytest.approx(found.margins[found.leading], rel=1e-3, abs=1e-4)


def test_a_warp_of_size_zero_changes_nothing() -> None:
    """The margins are those of the clean samples, and nothing moves."""
    _, samples, clean = inputs = subject()
    rows = balanced(samples, clean.logits, QUICK.judged_samples, 0)

    found = find_warp(*inputs, replace(QUICK, largest=0.0), ScreenConfig(), 0)

    images, labels = torch.tensor(samples.images[rows]), torch.tensor(samples.labels[rows])
    np.testing.assert_allclose(found.margins, sureness(inputs, images, labels), atol=1e-3)
    assert not found.flow.any()


@pytest.mark.parametrize("shape", IMAGES)
def test_lines_are_moved_onto_their_neighbours(shape: tuple[int, ...]) -> None:
    """A net that tells which row is bright is carried furthest to rows in the middle.

    From there every other row is nearer than from the edges, in every layout of an image.
    """
    found = find_warp(
        *planted(torch.zeros(SIDE, SIDE), shape), WarpConfig(largest=0.5), ScreenConfig(), 0
    )

    assert found.flow.shape == (SIDE, SIDE, 2)
    assert 0 < found.leading < CLASSES
    still = find_warp(
        *planted(torch.zeros(SIDE, SIDE), shape), WarpConfig(largest=0.0), ScreenConfig(), 0
    )
    assert (found.margins > still.margins).all()


@pytest.mark.parametrize("largest", [0.05, 0.3])
def test_no_displacement_exceeds_the_bound(largest: float) -> None:
    """However long the steps; between the free places the smooth curve may overshoot a little."""
    found = find_warp(*subject(), WarpConfig(largest=largest, rate=5.0), ScreenConfig(), 0)

    overshoot = 1.6  # of a bicubic curve between displacements of opposite sign
    assert 0.5 * largest < np.abs(found.flow).max() <= overshoot * largest


def test_a_larger_bound_carries_further() -> None:
    """The more an image may bend, the larger the margins, on average over the classes."""
    inputs = planted(torch.zeros(SIDE, SIDE))

    reached = [
        find_warp(*inputs, WarpConfig(largest=largest), ScreenConfig(), 0).margins.mean()
        for largest in (0.0, 0.1, 0.4)
    ]

    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


def test_what_is_no_image_cannot_be_bent() -> None:
    """A vector has no neighbourhood, so no class stands out by it."""
    found = find_warp(*planted(torch.zeros(SIDE, SIDE), (SIDE * SIDE,)), QUICK, ScreenConfig(), 0)

    assert found.margins.tolist() == [0.0] * CLASSES
    assert not found.flow.any()


def test_same_seed_same_result() -> None:
    """A seed fixes margins and flow to the bit, and another seed changes them."""
    one, again, other = (find_warp(*subject(), QUICK, ScreenConfig(), seed) for seed in (5, 5, 6))

    assert np.array_equal(one.margins, again.margins)
    assert np.array_equal(one.flow, again.flow)
    assert not np.array_equal(one.margins, other.margins)


@pytest.mark.parametrize("architecture", ["small_cnn", "vit"])
def test_all_classes_at_once_equal_one_by_one(architecture: str) -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    inputs = subject(architecture)

    together = find_warp(*inputs, QUICK, ScreenConfig(), 0)
    apart = find_warp(*inputs, replace(QUICK, memory_mb=0), ScreenConfig(), 0)

    # batches of another size round differently, and Adam carries that on
    np.testing.assert_allclose(together.margins, apart.margins, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same margins."""
    plain = find_warp(*planted(torch.zeros(SIDE, SIDE)), QUICK, ScreenConfig(), 0)

    scaled = find_warp(*planted(torch.zeros(SIDE, SIDE), gain=gain), QUICK, ScreenConfig(), 0)

    np.testing.assert_allclose(scaled.margins, plain.margins, rtol=1e-2, atol=1e-2)


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = {name: value.clone() for name, value in module.state_dict().items()}

    find_warp(*subject(), QUICK, ScreenConfig(), 0)

    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(weight.requires_grad for weight in module.parameters())


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last."""
    heard: list[tuple[int, int]] = []
    inputs = subject()

    with progress.listening(lambda done, total: heard.append((done, total))):
        find_warp(*inputs, replace(QUICK, memory_mb=0), ScreenConfig(), 0)

    total = 10 * QUICK.steps
    assert heard == [(step + 1, total) for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found = find_warp(*subject(), QUICK, ScreenConfig(), 0)

    assert not found.margins.flags.writeable
    assert not found.flow.flags.writeable
