"""The blended pattern on real twins, and on nets with a trigger planted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stages import progress
from stages.searches.blend import BlendConfig, blend
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.trigger import Overlay
from stages.settings import unchecked
from tests.support import twins
from tests.support.planted import (
    CLASSES,
    SHAPES,
    TARGET,
    checkerboard,
    evaluated_on,
    mean_margins,
    nothing,
    planted,
    spread,
    standardised_margins,
    within_range,
)

QUICK = BlendConfig(samples=20, faint_steps=4, strong_steps=3)


def find(subject: Subject, config: BlendConfig = QUICK, seed: int = 0) -> SearchResult:
    """What the search says of every class, searched to the end."""
    return run(blend, subject, config, subject.classes.numpy(), seed)


def overlay(found: SearchResult) -> Overlay:
    """The faint pattern that was found."""
    assert isinstance(found.trigger, Overlay)
    return found.trigger


def assert_close(one: SearchResult, other: SearchResult) -> None:
    """Both opacities reach the same margins, but for rounding that Adam carries on."""
    for name in ("margin", "strong_margin"):
        values, expected = one.statistics[name], other.statistics[name]
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet", "vit", "mlp"])
def test_every_architecture_has_a_margin_per_class(architecture: str) -> None:
    """K finite margins of each kind, a leading class, and its pattern like an input."""
    inputs = twins.subject(architecture)

    found = find(inputs)

    for values in found.statistics.values():
        assert values.shape == (10,)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert found.targets[0] == found.statistics["margin"].argmax()
    assert overlay(found).pattern.shape == (3, 32, 32)
    assert within_range(overlay(found).pattern, inputs.samples)


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_a_pattern_brings_samples_closer_to_every_class(architecture: str) -> None:
    """After the search every class's margin is larger than that of the clean samples."""
    inputs = twins.subject(architecture)
    images, labels = evaluated_on(inputs, QUICK.evaluation_samples, 0)

    found = find(inputs)

    before = mean_margins(inputs, images, labels)
    assert (found.statistics["margin"] > before).all()


def test_same_seed_same_result() -> None:
    """A seed fixes margins and pattern to the bit, and another seed changes them."""
    one, again, other = (find(twins.subject(), seed=seed) for seed in (5, 5, 6))

    assert np.array_equal(one.statistics["margin"], again.statistics["margin"])
    assert np.array_equal(one.statistics["strong_margin"], again.statistics["strong_margin"])
    assert np.array_equal(overlay(one).pattern, overlay(again).pattern)
    assert not np.array_equal(one.statistics["margin"], other.statistics["margin"])


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = twins.weights(module)

    find(twins.subject())

    assert twins.untouched(module, before)


@pytest.mark.parametrize(
    "architecture", ["small_cnn", pytest.param("vit", marks=pytest.mark.nightly), "mlp"]
)
def test_all_classes_at_once_equal_one_by_one(architecture: str) -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    inputs = twins.subject(architecture)

    together = find(inputs)
    apart = find(inputs, replace(QUICK, memory_mb=0))

    assert_close(together, apart)
    assert together.targets[0] == apart.targets[0]
    np.testing.assert_allclose(overlay(together).pattern, overlay(apart).pattern, atol=0.05)


def test_an_invisible_pattern_leaves_the_clean_margins() -> None:
    """As the opacity goes to zero, the margins are those of the samples themselves."""
    inputs = twins.subject()
    config = replace(QUICK, faint=1e-7, strong=1e-7)
    images, labels = evaluated_on(inputs, config.evaluation_samples, 0)

    found = find(inputs, config)

    expected = mean_margins(inputs, images, labels)
    np.testing.assert_allclose(found.statistics["margin"], expected, atol=1e-3)
    np.testing.assert_allclose(found.statistics["strong_margin"], expected, atol=1e-3)
    np.testing.assert_allclose(
        found.statistics["standardised_margin"],
        standardised_margins(inputs, images, labels),
        atol=1e-3,
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [0, 1, 30])
def test_no_step_leaves_the_valid_range(shape: tuple[int, ...], steps: int) -> None:
    """However many steps and however long, each colour of the pattern stays within its range."""
    inputs = planted(checkerboard(), shape, colour=5.0)

    found = find(inputs, unchecked(BlendConfig(samples=20, rate=1.0), faint_steps=steps))

    assert within_range(overlay(found).pattern, inputs.samples)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_planted_trigger_is_found(shape: tuple[int, ...]) -> None:
    """Its class leads by far, in every layout of the input, and its pattern is the trigger."""
    found = find(planted(checkerboard(), shape), BlendConfig())

    assert found.targets[0] == found.statistics["strong_margin"].argmax() == TARGET
    others = np.delete(found.statistics["margin"], TARGET)
    assert found.statistics["margin"][TARGET] - others.max() > 3 * (others.max() - others.min())
    trigger = spread(checkerboard(), shape).numpy()
    assert np.corrcoef(overlay(found).pattern.ravel(), trigger.ravel())[0, 1] > 0.8


def test_without_a_trigger_no_class_leads_by_far() -> None:
    """The same net without what was planted treats its classes alike."""
    found = find(planted(nothing()), BlendConfig())

    assert np.ptp(found.statistics["margin"]) < 0.05


@pytest.mark.parametrize("memory_mb", [0, 512])
def test_the_leading_pattern_gives_the_leading_margin(memory_mb: int) -> None:
    """Blended into the samples again, it reaches what is reported, whichever group it was in."""
    inputs, config = planted(checkerboard()), replace(QUICK, memory_mb=memory_mb)
    images, labels = evaluated_on(inputs, config.evaluation_samples, 2)

    found = find(inputs, config, seed=2)

    shown = (1 - config.faint) * images + config.faint * torch.tensor(overlay(found).pattern)
    reported, target = found.statistics, found.targets[0]
    mean = mean_margins(inputs, shown, labels)[target]
    standardised = standardised_margins(inputs, shown, labels)[target]
    np.testing.assert_allclose(mean, reported["margin"][target], rtol=1e-4)
    np.testing.assert_allclose(standardised, reported["standardised_margin"][target], rtol=1e-3)


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same margins."""
    plain = find(planted(checkerboard()), BlendConfig())

    scaled = find(planted(checkerboard(), gain=gain), BlendConfig())

    assert_close(scaled, plain)
    assert scaled.targets[0] == plain.targets[0]


def test_more_opacity_carries_further() -> None:
    """The more of a trigger is seen, the larger its class's margin."""
    inputs = planted(checkerboard())

    reached = [
        find(inputs, BlendConfig(faint=opacity)).statistics["margin"][TARGET]
        for opacity in (0.02, 0.1, 0.5, 1.0)
    ]

    assert reached == sorted(reached)
    assert reached[-1] > reached[0]


def test_the_strong_pattern_goes_on_from_the_faint_one() -> None:
    """Without steps of its own it is the faint pattern seen better; steps take it further."""
    inputs = twins.subject()
    resting = unchecked(QUICK, strong=QUICK.faint, strong_steps=0)

    same, stronger, further = (
        find(inputs, config) for config in (resting, unchecked(QUICK, strong_steps=0), QUICK)
    )

    assert np.array_equal(same.statistics["strong_margin"], same.statistics["margin"])
    assert (stronger.statistics["strong_margin"] > same.statistics["strong_margin"]).all()
    assert (further.statistics["strong_margin"] > stronger.statistics["strong_margin"]).all()


def test_the_strong_pattern_leaves_the_faint_one_alone() -> None:
    """Margins and pattern that are reported as faint are those before the strong steps."""
    inputs = twins.subject()

    without, beside = (find(inputs, unchecked(QUICK, strong_steps=steps)) for steps in (0, 5))

    assert np.array_equal(without.statistics["margin"], beside.statistics["margin"])
    assert np.array_equal(overlay(without).pattern, overlay(beside).pattern)


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last."""
    heard: list[tuple[int, int]] = []
    inputs = planted(checkerboard())

    with progress.listening(lambda done, total: heard.append((done, total))):
        find(inputs, replace(QUICK, memory_mb=0))

    total = CLASSES * (QUICK.faint_steps + QUICK.strong_steps)
    assert heard == [(step + 1, total) for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found = find(planted(checkerboard()))

    assert not found.statistics["margin"].flags.writeable
    assert not found.statistics["strong_margin"].flags.writeable
    assert not overlay(found).pattern.flags.writeable
