"""The photo filter on real twins, and filters worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stages import image_layout, progress
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.tone import ToneConfig, tone
from stages.searches.trigger import Filter
from stages.settings import unchecked
from stages.types import Floats
from tests.support import twins
from tests.support.planted import SHAPES, evaluated_on, mean_margins, nothing, planted, within_range

QUICK = ToneConfig(steps=4)


def find(subject: Subject, config: ToneConfig = QUICK, seed: int = 0) -> SearchResult:
    """What the search says of every class, searched to the end."""
    return run(tone, subject, config, subject.classes.numpy(), seed)


def margins(found: SearchResult) -> Floats:
    """What it says of every class (K,)."""
    return found.statistics["margin"]


def laid(found: SearchResult) -> Filter:
    """The filter that was found."""
    assert isinstance(found.trigger, Filter)
    return found.trigger


def plain(colours: int = 1, low: float = 0.0, high: float = 1.0) -> Filter:
    """The filter that changes nothing, on images (C, H, W)."""
    return Filter(
        mixing=np.eye(colours, dtype=np.float32),
        lift=np.zeros(colours, np.float32),
        curve=1.0,
        corners=0.0,
        low=np.full((colours, 1, 1), low, np.float32),
        high=np.full((colours, 1, 1), high, np.float32),
    )


def images(colours: int = 1, side: int = 5) -> Floats:
    """Random images (4, C, side, side) with values from 0.1 to 0.6."""
    random = np.random.default_rng(0)
    return random.uniform(0.1, 0.6, (4, colours, side, side)).astype(np.float32)


@pytest.mark.parametrize("colours", [1, 3])
def test_a_filter_that_changes_nothing_changes_nothing(colours: int) -> None:
    """Images come out as they went in."""
    np.testing.assert_allclose(plain(colours).apply(images(colours)), images(colours), rtol=1e-5)


def test_colours_are_mixed_lifted_and_bent_by_the_formula() -> None:
    """(A·s + b)^γ on shares s of the range, worked out colour by colour."""
    mixing = np.array([[0.9, 0.1, 0], [0, 1.1, 0], [0.2, 0, 0.7]], np.float32)
    lift = np.array([0.05, 0.0, -0.02], np.float32)
    filtered = replace(plain(3, -1.0, 3.0), mixing=mixing, lift=lift, curve=1.3)
    shares = images(3)

    found = filtered.apply(4 * shares - 1)

    mixed = np.stack([(shares * row[:, None, None]).sum(1) for row in mixing], 1)
    expected = 4 * (mixed + lift[:, None, None]) ** 1.3 - 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_corners_darken_and_the_middle_stays() -> None:
    """By the whole strength in the corners, by half of it in the middle of an edge."""
    found = replace(plain(), corners=0.4).apply(np.full((1, 1, 5, 5), 0.5, np.float32))[0, 0]

    assert found[2, 2] == pytest.approx(0.5)
    assert found[0, 2] == found[2, 4] == pytest.approx(0.5 * 0.8)
    assert found[0, 0] == found[4, 4] == pytest.approx(0.5 * 0.6)


def test_what_leaves_the_range_is_held_at_its_ends() -> None:
    """A strong lift makes white, the opposite almost black, and never anything beyond."""
    bright, dark = (
        replace(plain(), lift=np.full(1, each, np.float32)).apply(images()) for each in (2.0, -2.0)
    )

    assert bright.max() == bright.min() == 1.0
    assert 0 <= dark.min() <= dark.max() < 0.01


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_the_reported_filter_gives_the_reported_margin(architecture: str) -> None:
    """K finite margins; laid on the samples again, the leading filter reaches what is said."""
    inputs = twins.subject(architecture)
    shown, labels = evaluated_on(inputs, QUICK.evaluation_samples, 3)

    found = find(inputs, seed=3)

    assert np.isfinite(margins(found)).all()
    target = found.targets[0]
    assert target == margins(found).argmax()
    filtered = torch.tensor(laid(found).apply(shown.numpy()))
    again = mean_margins(inputs, filtered, labels)[target]
    assert again == pytest.approx(margins(found)[target], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout_is_filtered_within_its_range(shape: tuple[int, ...]) -> None:
    """Also colours last, and vectors, with colours of different brightness and long steps."""
    inputs = planted(nothing(), shape, colour=5.0)
    axis = image_layout.colour_axis(shape)

    found = find(inputs, ToneConfig(rate=3.0))

    colours = 1 if axis is None else shape[axis]
    assert laid(found).mixing.shape == (colours, colours)
    for image in laid(found).apply(inputs.samples.images[:5]):
        assert image.shape == shape
        assert within_range(image, inputs.samples)


def test_layouts_do_not_matter() -> None:
    """The same image with its colours first or last gets the same margins."""
    first, last = (find(planted(nothing(), shape, colour=0.5)) for shape in SHAPES[1:3])

    np.testing.assert_allclose(margins(first), margins(last), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rate", [0.3, 5.0])
def test_no_parameter_exceeds_its_bound(rate: float) -> None:
    """However long the steps are."""
    config, filtered = ToneConfig(rate=rate), laid(find(twins.subject(), ToneConfig(rate=rate)))

    assert np.abs(filtered.mixing - np.eye(3)).max() <= config.mixing + 1e-6
    assert np.abs(filtered.lift).max() <= config.lift + 1e-6
    assert 1 / config.curve - 1e-6 <= filtered.curve <= config.curve + 1e-6
    assert 0 <= filtered.corners <= config.corners + 1e-6


def test_a_filter_without_room_leaves_the_clean_margins() -> None:
    """With every bound at nothing the margins are those of the samples themselves."""
    inputs = twins.subject()
    still = unchecked(ToneConfig(), mixing=0.0, lift=0.0, curve=1.0, corners=0.0)
    expected = mean_margins(inputs, *evaluated_on(inputs, still.evaluation_samples, 0))

    np.testing.assert_allclose(margins(find(inputs, still)), expected, atol=5e-3)


def test_steps_bring_samples_closer_to_the_classes() -> None:
    """On average over the classes, the more steps the further."""
    inputs = twins.subject()

    reached = [margins(find(inputs, ToneConfig(steps=steps))).mean() for steps in (1, 4, 14)]

    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same margins."""
    usual, scaled = find(planted(nothing())), find(planted(nothing(), gain=gain))

    np.testing.assert_allclose(margins(scaled), margins(usual), rtol=1e-2, atol=1e-2)


def test_all_classes_at_once_equal_one_by_one() -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    together, apart = find(twins.subject()), find(twins.subject(), replace(QUICK, memory_mb=0))

    np.testing.assert_allclose(margins(together), margins(apart), rtol=1e-2, atol=1e-2)


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last."""
    heard: list[tuple[int, int]] = []

    with progress.listening(lambda done, total: heard.append((done, total))):
        find(twins.subject(), replace(QUICK, memory_mb=0))

    total = 10 * QUICK.steps
    assert heard == [(step + 1, total) for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found = find(planted(nothing()))

    arrays = margins(found), laid(found).mixing, laid(found).lift, laid(found).low, laid(found).high
    assert not any(each.flags.writeable for each in arrays)
