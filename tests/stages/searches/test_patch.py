"""The patch on real twins, and on nets with a trigger planted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stages import image_layout, progress
from stages.searches.patch import PatchConfig, SmallPatchConfig, patch, small_patch
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.trigger import Patch
from stages.types import Floats
from tests.support import twins
from tests.support.planted import (
    CLASSES,
    SHAPES,
    SIDE,
    TARGET,
    checkerboard,
    corner,
    evaluated_on,
    nothing,
    planted,
    standardised_margins,
    within_range,
)

QUICK = PatchConfig(samples=20, first_steps=2, place_steps=2, pattern_steps=3)
IMAGES = SHAPES[:3]


def find(subject: Subject, config: PatchConfig = QUICK, seed: int = 0) -> SearchResult:
    """What the search says of every class, searched to the end."""
    return run(patch, subject, config, subject.classes.numpy(), seed)


def margins(found: SearchResult) -> Floats:
    """What it says of every class (K,)."""
    return found.statistics["standardised_margin"]


def laid(found: SearchResult) -> Patch:
    """The patch that was found."""
    assert isinstance(found.trigger, Patch)
    return found.trigger


def laid_again(inputs: Subject, found: SearchResult, config: PatchConfig, seed: int) -> float:
    """The margin of the leading class with the reported patch laid on the samples again."""
    images, labels = evaluated_on(inputs, config.evaluation_samples, seed)
    mask, colours = torch.tensor(laid(found).mask), torch.tensor(laid(found).colours)
    shown = (1 - mask) * images + mask * colours
    return float(standardised_margins(inputs, shown, labels)[found.targets[0]])


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_every_architecture_has_a_margin_per_class(architecture: str) -> None:
    """K finite margins, a leading class that has the largest, and its patch like an input."""
    inputs = twins.subject(architecture)

    found = find(inputs)

    assert margins(found).shape == (10,)
    assert np.isfinite(margins(found)).all()
    assert found.targets[0] == margins(found).argmax()
    assert laid(found).mask.shape == (1, 32, 32)
    assert laid(found).colours.shape == (3, 32, 32)
    assert within_range(laid(found).colours, inputs.samples)


@pytest.mark.parametrize("side", [0.1, 0.25, 0.5, 1.0])
def test_the_mask_is_one_square(side: float) -> None:
    """It is 1 on a square of the wanted side, which lies wholly in the image, and 0 elsewhere."""
    found = find(twins.subject(), replace(QUICK, side=side))

    size = round(side * 32)
    rows, columns = np.nonzero(laid(found).mask[0])
    assert set(np.unique(laid(found).mask)) <= {0.0, 1.0}
    assert len(rows) == size * size
    assert np.ptp(rows) == np.ptp(columns) == size - 1


@pytest.mark.parametrize(("wanted", "size"), [(0.125, 4), (0.01, 3), (0.5, 16)])
def test_a_small_patch_has_three_pixels_a_side_at_least(wanted: float, size: int) -> None:
    """On images of 32 pixels an eighth is four; fewer than three are hard to find a place for."""
    config = SmallPatchConfig(side=wanted, first_steps=2, place_steps=1, pattern_steps=1)
    subject = twins.subject()

    found = run(small_patch, subject, config, subject.classes.numpy(), 0)

    assert laid(found).mask.sum() == size * size


def test_what_is_no_image_gets_a_stretch_of_the_same_share() -> None:
    """A vector of 64 numbers has 4 of them covered where a square covers a quarter of each side."""
    found = find(planted(corner(), (SIDE * SIDE,)))

    (covered,) = np.nonzero(laid(found).mask)
    assert len(covered) == 4
    assert np.ptp(covered) == 3


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_the_reported_patch_gives_the_reported_margin(architecture: str) -> None:
    """Laid on the samples again, it carries them as far as is said."""
    inputs = twins.subject(architecture)

    found = find(inputs, seed=3)

    again = laid_again(inputs, found, QUICK, 3)
    assert again == pytest.approx(margins(found)[found.targets[0]], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("memory_mb", [0, 512])
@pytest.mark.parametrize("shape", IMAGES)
def test_a_planted_trigger_is_found(shape: tuple[int, ...], memory_mb: int) -> None:
    """Its class leads by far, in every layout of an image, and the patch lies on it."""
    inputs, config = planted(corner(), shape), PatchConfig(memory_mb=memory_mb)

    found = find(inputs, config)

    assert found.targets[0] == TARGET
    others = np.delete(margins(found), TARGET)
    assert margins(found)[TARGET] - others.max() > 3 * np.ptp(others)
    assert laid(found).mask.shape == image_layout.mask_shape(shape)
    assert laid(found).mask.reshape(SIDE, SIDE)[-2:, -2:].all()
    again = laid_again(inputs, found, config, 0)
    assert again == pytest.approx(margins(found)[TARGET], rel=1e-3)


@pytest.mark.parametrize("left", [0, 3, 6])
@pytest.mark.parametrize("top", [0, 3, 6])
def test_a_planted_trigger_is_found_wherever_it_lies(top: int, left: int) -> None:
    """Its class leads by far, and the patch lies on most of it."""
    trigger = nothing()
    trigger[top : top + 2, left : left + 2] = 20.0

    found = find(planted(trigger), PatchConfig(side=0.375))

    assert found.targets[0] == TARGET
    others = np.delete(margins(found), TARGET)
    assert margins(found)[TARGET] - others.max() > 3 * np.ptp(others)
    assert laid(found).mask[0, top : top + 2, left : left + 2].sum() >= 2


def test_without_a_trigger_no_class_leads_by_far() -> None:
    """The same net without what was planted treats its classes alike."""
    found = find(planted(nothing()), PatchConfig())

    assert np.ptp(margins(found)) < 0.2


def test_a_stronger_trigger_carries_further() -> None:
    """The more its pixels weigh, the larger the margin of the target."""
    reached = [
        margins(find(planted(strength * corner()), PatchConfig()))[TARGET]
        for strength in (0.1, 0.5, 2.0)
    ]

    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same margins."""
    plain = find(planted(corner()), PatchConfig())

    scaled = find(planted(corner(), gain=gain), PatchConfig())

    np.testing.assert_allclose(margins(scaled), margins(plain), rtol=1e-2, atol=1e-2)
    assert scaled.targets[0] == plain.targets[0]


def test_same_seed_same_result() -> None:
    """A seed fixes margins, mask and pattern to the bit, and another seed changes them."""
    one, again, other = (find(twins.subject(), seed=seed) for seed in (5, 5, 6))

    assert np.array_equal(margins(one), margins(again))
    assert np.array_equal(laid(one).mask, laid(again).mask)
    assert np.array_equal(laid(one).colours, laid(again).colours)
    assert not np.array_equal(margins(one), margins(other))


@pytest.mark.parametrize(
    "architecture", ["small_cnn", pytest.param("vit", marks=pytest.mark.nightly), "mlp"]
)
def test_all_classes_at_once_equal_one_by_one(architecture: str) -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    inputs = twins.subject(architecture)

    together = find(inputs)
    apart = find(inputs, replace(QUICK, memory_mb=0))

    # batches of another size round differently, and Adam carries that on
    np.testing.assert_allclose(margins(together), margins(apart), rtol=1e-2, atol=1e-2)


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = twins.weights(module)

    find(twins.subject())

    assert twins.untouched(module, before)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_colour_stays_within_its_range(shape: tuple[int, ...]) -> None:
    """Long steps, and colours of different brightness."""
    inputs = planted(corner(), shape, colour=5.0)

    found = find(inputs, PatchConfig(rate=3.0))

    assert within_range(laid(found).colours, inputs.samples)


def test_a_global_trigger_is_no_small_patch() -> None:
    """What the blended pattern finds, the patch may miss: the two searches are not one."""
    spread_out = find(planted(0.5 * checkerboard()), PatchConfig())
    local = find(planted(corner()), PatchConfig())

    assert margins(spread_out)[TARGET] < 0.5 * margins(local)[TARGET]


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last: of the first steps, which
    show whether any class stands out, and then of the rest.
    """
    heard: list[tuple[int, int]] = []
    inputs = planted(corner())

    with progress.listening(lambda done, total: heard.append((done, total))):
        find(inputs, replace(QUICK, memory_mb=0))

    first = patch.early_after or 0
    totals = CLASSES * first, CLASSES * (QUICK.steps - first)
    assert heard == [(step + 1, total) for total in totals for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found = find(planted(corner()))

    assert not margins(found).flags.writeable
    assert not laid(found).mask.flags.writeable
    assert not laid(found).colours.flags.writeable
