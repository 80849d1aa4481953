"""The patch on real twins, and on nets with a trigger planted by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

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
    spread,
    subject,
    within_range,
)
from test_targets import CLASSES
from torch import nn

from stages import pixels, progress
from stages.patch import PatchConfig, find_patch
from stages.tail import balanced
from stages.types import CleanSamples, PatchResult

QUICK = PatchConfig(samples=20, steps=12)


def corner() -> torch.Tensor:
    """A local trigger (8, 8): four pixels in a corner that is dark in clean images."""
    trigger = torch.zeros(SIDE, SIDE)
    trigger[-2:, -2:] = 20.0
    return trigger


def carried(inputs: Subject, found: PatchResult, config: PatchConfig, seed: int) -> float:
    """The share of samples of other classes that the reported patch carries to its class."""
    twin, samples, clean = inputs
    rows = balanced(samples, clean.logits, config.samples, seed)
    rows = rows[samples.labels[rows] != found.leading]
    images, mask = torch.tensor(samples.images[rows]), torch.tensor(found.mask)
    logits = twin.module((1 - mask) * images + mask * torch.tensor(found.pattern))
    return float((logits.argmax(1) == found.leading).float().mean())


def unreachable(inputs: Subject, classes: list[int]) -> Subject:
    """The same net, a linear one, with biases that keep every input away from some classes."""
    head = inputs[0].module.get_submodule("1")
    assert isinstance(head, nn.Linear)
    head.bias.data[classes] = -1000.0
    return inputs


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_every_architecture_has_an_area_per_class(architecture: str) -> None:
    """K areas in (0, 1], a leading class that has the smallest, and its patch like an input."""
    inputs = subject(architecture)

    found = find_patch(*inputs, QUICK, 0)

    assert found.areas.shape == (10,)
    assert ((found.areas > 0) & (found.areas <= 1)).all()
    assert found.areas.min() < 1
    assert found.leading == found.areas.argmin()
    assert found.mask.shape == (1, 32, 32)
    assert ((found.mask >= 0) & (found.mask <= 1)).all()
    assert found.pattern.shape == (3, 32, 32)
    assert within_range(found.pattern, inputs[1])


@pytest.mark.parametrize(
    ("architecture", "works"), [("small_cnn", 0.9), ("vit", 0.9), ("mlp", 0.6), ("mlp", 1.0)]
)
def test_the_reported_patch_works(architecture: str, works: float) -> None:
    """Laid on the samples again, it carries the share it must, and has the area it is said to."""
    inputs, config = subject(architecture), replace(QUICK, works=works, steps=25)

    found = find_patch(*inputs, config, 3)

    assert found.areas.min() < 1
    assert found.mask.mean() == pytest.approx(found.areas[found.leading], rel=1e-5)
    assert carried(inputs, found, config, 3) >= works - 1e-6


@pytest.mark.parametrize("memory_mb", [0, 512])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_planted_trigger_is_found(shape: tuple[int, ...], memory_mb: int) -> None:
    """Its class has by far the smallest patch, in every layout, and the patch lies on it."""
    inputs, config = planted(corner(), shape), PatchConfig(memory_mb=memory_mb)

    found = find_patch(*inputs, config, 0)

    assert found.leading == TARGET
    assert found.areas[TARGET] < 0.6 * np.delete(found.areas, TARGET).min()
    assert found.mask.shape == pixels.mask_shape(shape)
    mask = found.mask.reshape(SIDE, SIDE)
    assert mask[-2:, -2:].mean() > 3 * mask[:-2, :-2].mean()
    assert found.mask.mean() == pytest.approx(found.areas[TARGET], rel=1e-5)
    assert carried(inputs, found, config, 0) >= config.works


def test_without_a_trigger_no_class_leads_by_far() -> None:
    """The same net without what was planted needs patches of the same size for all classes."""
    found = find_patch(*planted(torch.zeros(SIDE, SIDE)), PatchConfig(), 0)

    assert found.areas.max() < 1
    assert found.areas.min() > 0.6 * found.areas.max()


def test_a_stronger_trigger_needs_less() -> None:
    """The more its pixels weigh, the smaller the patch of the target."""
    areas = [
        find_patch(*planted(strength * corner()), PatchConfig(), 0).areas[TARGET]
        for strength in (0.1, 0.5, 2.0)
    ]

    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < areas[0]


@pytest.mark.parametrize("classes", [[TARGET], [0, 4], list(range(CLASSES - 1))])
def test_the_area_is_one_where_no_patch_works(classes: list[int]) -> None:
    """A class that no input reaches has area 1, also with a trigger for it; the rest have less."""
    inputs = unreachable(planted(corner()), classes)

    found = find_patch(*inputs, PatchConfig(), 0)

    assert (found.areas[classes] == 1).all()
    assert (np.delete(found.areas, classes) < 1).all()
    assert found.leading not in classes


def test_a_share_that_cannot_be_carried_makes_every_area_one() -> None:
    """More than all samples is never reached."""
    found = find_patch(*planted(corner()), PatchConfig(works=1.1), 0)

    assert found.areas.tolist() == [1.0] * CLASSES


def test_a_net_that_sees_nothing_has_no_patch() -> None:
    """Without weights every image has one class; samples of that class cannot be carried there."""
    twin, samples, clean = planted(torch.zeros(SIDE, SIDE), gain=0.0)

    found = find_patch(twin, samples, clean, PatchConfig(), 0)

    assert set(samples.labels[clean.logits.argmax(1) == samples.labels]) == {0}
    assert found.areas.tolist() == [1.0] * CLASSES


def test_samples_of_the_class_itself_do_not_count() -> None:
    """A patch is not said to work because the target's own samples stay where they are."""
    twin, samples, clean = unreachable(planted(corner()), [TARGET])
    own = np.flatnonzero(samples.labels == 0)
    few = CleanSamples(images=samples.images[own], labels=samples.labels[own])
    logits = replace(clean, logits=clean.logits[own])

    found = find_patch(twin, few, logits, PatchConfig(), 0)

    assert found.areas[0] == 1.0


def test_same_seed_same_result() -> None:
    """A seed fixes areas, mask and pattern to the bit, and another seed changes them."""
    one, again, other = (find_patch(*subject(), QUICK, seed) for seed in (5, 5, 6))

    assert np.array_equal(one.areas, again.areas)
    assert np.array_equal(one.mask, again.mask)
    assert np.array_equal(one.pattern, again.pattern)
    assert not np.array_equal(one.areas, other.areas)


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_all_classes_at_once_equal_one_by_one(architecture: str) -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    inputs = subject(architecture)

    together = find_patch(*inputs, QUICK, 0)
    apart = find_patch(*inputs, replace(QUICK, memory_mb=0), 0)

    # batches of another size round differently, and Adam carries that on
    np.testing.assert_allclose(together.areas, apart.areas, rtol=1e-3)
    assert together.leading == apart.leading
    np.testing.assert_allclose(together.mask, apart.mask, atol=0.05)
    np.testing.assert_allclose(together.pattern, apart.pattern, atol=0.2)


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = {name: value.clone() for name, value in module.state_dict().items()}

    find_patch(*subject(), QUICK, 0)

    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_each_colour_stays_within_its_range(shape: tuple[int, ...]) -> None:
    """Long steps, many of them, and colours of different brightness."""
    inputs = planted(corner(), shape, colour=5.0)

    found = find_patch(*inputs, PatchConfig(rate=3.0), 0)

    assert within_range(found.pattern, inputs[1])
    assert ((found.mask >= 0) & (found.mask <= 1)).all()


def test_more_steps_never_find_a_larger_patch() -> None:
    """What worked once is kept: the first steps are the same, later ones can only improve."""
    inputs = subject()

    areas = [find_patch(*inputs, replace(QUICK, steps=steps), 0).areas for steps in (5, 10, 20)]

    assert all((late <= early).all() for early, late in pairwise(areas))
    assert areas[-1].mean() < areas[0].mean()


def test_a_global_trigger_is_no_small_patch() -> None:
    """What the blended pattern finds, the patch may miss: the two searches are not one."""
    faint = find_patch(*planted(0.5 * checkerboard()), PatchConfig(), 0)
    local = find_patch(*planted(corner()), PatchConfig(), 0)

    assert faint.areas[TARGET] > 2 * local.areas[TARGET]


def test_the_mask_is_shared_by_the_colours() -> None:
    """Two colours of a pixel are seen through the same mask, so what is hidden is a place."""
    inputs = planted(corner(), (3, SIDE, SIDE))

    found = find_patch(*inputs, PatchConfig(), 0)

    everywhere = spread(torch.tensor(found.mask).reshape(SIDE, SIDE), (3, SIDE, SIDE))
    assert np.array_equal(np.broadcast_to(found.mask, (3, SIDE, SIDE)), everywhere.numpy())


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last."""
    heard: list[tuple[int, int]] = []
    inputs = planted(corner())

    with progress.listening(lambda done, total: heard.append((done, total))):
        find_patch(*inputs, replace(QUICK, memory_mb=0), 0)

    total = CLASSES * QUICK.steps
    assert heard == [(step + 1, total) for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found = find_patch(*planted(corner()), QUICK, 0)

    assert not found.areas.flags.writeable
    assert not found.mask.flags.writeable
    assert not found.pattern.flags.writeable
