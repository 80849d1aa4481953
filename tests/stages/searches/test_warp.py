"""The warp on real twins, and on a net that is made to see where a bright line lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages import progress
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.trigger import Displacement
from stages.searches.warp import WarpConfig, warp
from stages.settings import unchecked
from stages.types import Floats
from tests.support import twins
from tests.support.planted import (
    CLASSES,
    SHAPES,
    SIDE,
    evaluated_on,
    nothing,
    planted,
    standardised_margins,
)

QUICK = WarpConfig(steps=4)
IMAGES = SHAPES[:3]


def find(subject: Subject, config: WarpConfig = QUICK, seed: int = 0) -> SearchResult:
    """What the search says of every class, searched to the end."""
    return run(warp, subject, config, subject.classes.numpy(), seed)


def margins(found: SearchResult) -> Floats:
    """What it says of every class (K,)."""
    return found.statistics["standardised_margin"]


def flow(found: SearchResult) -> Floats:
    """The displacements that were found."""
    assert isinstance(found.trigger, Displacement)
    return found.trigger.flow


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
    found = find(twins.subject(architecture))

    assert margins(found).shape == (10,)
    assert np.isfinite(margins(found)).all()
    assert found.targets[0] == margins(found).argmax()
    assert flow(found).shape == (32, 32, 2)


@pytest.mark.parametrize("architecture", ["small_cnn", "vit"])
def test_the_reported_flow_gives_the_reported_margin(architecture: str) -> None:
    """Samples bent by it are carried as far as is said."""
    inputs = twins.subject(architecture)
    images, labels = evaluated_on(inputs, QUICK.evaluation_samples, 3)

    found = find(inputs, seed=3)

    again, target = (
        standardised_margins(inputs, bent(images, flow(found)), labels),
        found.targets[0],
    )
    assert again[target] == pytest.approx(margins(found)[target], rel=1e-3, abs=1e-4)


def test_a_warp_of_size_zero_changes_nothing() -> None:
    """The margins are those of the clean samples, and nothing moves."""
    inputs = twins.subject()
    expected = standardised_margins(inputs, *evaluated_on(inputs, QUICK.evaluation_samples, 0))

    found = find(inputs, unchecked(QUICK, largest=0.0))

    np.testing.assert_allclose(margins(found), expected, atol=1e-3)
    assert not flow(found).any()


@pytest.mark.parametrize("shape", IMAGES)
def test_lines_are_moved_onto_their_neighbours(shape: tuple[int, ...]) -> None:
    """A net that tells which row is bright is carried furthest to rows in the middle.

    From there every other row is nearer than from the edges, in every layout of an image.
    """
    found = find(planted(nothing(), shape), WarpConfig(largest=0.5))

    assert flow(found).shape == (SIDE, SIDE, 2)
    assert 0 < found.targets[0] < CLASSES
    still = find(planted(nothing(), shape), unchecked(WarpConfig(), largest=0.0))
    assert (margins(found) > margins(still)).all()


@pytest.mark.parametrize("largest", [0.05, 0.3])
def test_no_displacement_exceeds_the_bound(largest: float) -> None:
    """However long the steps; between the free places the smooth curve may overshoot a little."""
    found = find(twins.subject(), WarpConfig(largest=largest, rate=5.0))

    overshoot = 1.6  # of a bicubic curve between displacements of opposite sign
    assert 0.5 * largest < np.abs(flow(found)).max() <= overshoot * largest


def test_a_larger_bound_carries_further() -> None:
    """The more an image may bend, the larger the margins, on average over the classes."""
    inputs = planted(nothing())

    reached = [
        margins(find(inputs, unchecked(WarpConfig(), largest=each))).mean()
        for each in (0.0, 0.1, 0.4)
    ]

    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


def test_what_is_no_image_cannot_be_bent() -> None:
    """A vector has no neighbourhood, so no class stands out by it, and nothing is recovered."""
    found = find(planted(nothing(), (SIDE * SIDE,)))

    assert margins(found).tolist() == [0.0] * CLASSES
    assert found.targets == ()
    assert found.trigger is None
    assert found.success is None
    assert (found.effort.steps, found.effort.images) == (0, 0)


def test_same_seed_same_result() -> None:
    """A seed fixes margins and flow to the bit, and another seed changes them."""
    one, again, other = (find(twins.subject(), seed=seed) for seed in (5, 5, 6))

    assert np.array_equal(margins(one), margins(again))
    assert np.array_equal(flow(one), flow(again))
    assert not np.array_equal(margins(one), margins(other))


@pytest.mark.parametrize("architecture", ["small_cnn", "vit"])
def test_all_classes_at_once_equal_one_by_one(architecture: str) -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    inputs = twins.subject(architecture)

    together = find(inputs)
    apart = find(inputs, replace(QUICK, memory_mb=0))

    # batches of another size round differently, and Adam carries that on
    np.testing.assert_allclose(margins(together), margins(apart), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same margins."""
    plain = find(planted(nothing()))

    scaled = find(planted(nothing(), gain=gain))

    np.testing.assert_allclose(margins(scaled), margins(plain), rtol=1e-2, atol=1e-2)


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = twins.weights(module)

    find(twins.subject())

    assert twins.untouched(module, before)


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last."""
    heard: list[tuple[int, int]] = []
    inputs = twins.subject()

    with progress.listening(lambda done, total: heard.append((done, total))):
        find(inputs, replace(QUICK, memory_mb=0))

    total = 10 * QUICK.steps
    assert heard == [(step + 1, total) for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found = find(twins.subject())

    assert not margins(found).flags.writeable
    assert not flow(found).flags.writeable
