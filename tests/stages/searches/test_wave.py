"""The waves on nets made by hand, beside arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages import progress
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.trigger import Pattern
from stages.searches.wave import WaveConfig, wave
from stages.types import Floats
from tests.support.planted import (
    CLASSES,
    SHAPES,
    SIDE,
    TARGET,
    counted,
    evaluated_on,
    nothing,
    planted,
    standardised_margins,
    within_range,
)

IMAGES = SHAPES[:3]


def find(subject: Subject, config: WaveConfig | None = None, seed: int = 0) -> SearchResult:
    """What the search says of every class."""
    return run(wave, subject, config or WaveConfig(), subject.classes.numpy(), seed)


def values(found: SearchResult) -> Floats:
    """What it says of every class (K,)."""
    return found.statistics["standardised_margin"]


def laid(found: SearchResult) -> Pattern:
    """The wave that was found."""
    assert isinstance(found.trigger, Pattern)
    return found.trigger


def stripes(cycles: int) -> torch.Tensor:
    """A wave (8, 8) across the image."""
    turns = 2 * np.pi * cycles * torch.arange(SIDE) / SIDE
    return torch.sin(turns).expand(SIDE, SIDE).clone()


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("cycles", [1, 2, 3])
def test_the_wave_of_the_weights_is_found(shape: tuple[int, ...], cycles: int) -> None:
    """The target of a net whose weights answer to a wave leads by far, under that wave."""
    found = find(planted(5 * stripes(cycles), shape))

    ordinary = np.delete(values(found), TARGET)
    assert found.targets == (TARGET,)
    assert values(found)[TARGET] > ordinary.max() + 2
    pattern = np.broadcast_to(laid(found).pattern, shape).ravel()
    wanted = np.broadcast_to(_shaped(stripes(cycles), shape), shape).ravel()
    assert np.corrcoef(pattern, wanted)[0, 1] > 0.9


def _shaped(pixel: torch.Tensor, shape: tuple[int, ...]) -> Floats:
    one: Floats = pixel.numpy()
    return one[..., None] if shape[-1] == 3 else one[None]


@pytest.mark.parametrize("shape", IMAGES)
def test_statistics_are_what_the_waves_do_by_hand(shape: tuple[int, ...]) -> None:
    """The largest standardised margin of each class over waves that are laid on one by one."""
    subject, config = planted(stripes(2), shape), WaveConfig(cycles=2, directions=2, phases=2)
    images, labels = evaluated_on(subject, config.samples, 0)
    found = find(subject, config)
    low, high = laid(found).low, laid(found).high
    by_hand = []
    for cycles in (1, 2):
        for along in ((0, 1), (1, 0)):
            for phase in (0, np.pi):
                down, across = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
                turns = 2 * np.pi * cycles * (along[0] * down + along[1] * across) / SIDE + phase
                wave = torch.tensor(np.sin(turns).astype(np.float32))
                added = images.numpy() + 0.2 * (high - low) * _shaped(wave, shape)
                shown = torch.tensor(np.clip(added, low, high))
                by_hand.append(standardised_margins(subject, shown, labels))

    expected = np.max(by_hand, axis=0)
    won = values(found) > 0
    np.testing.assert_allclose(values(found)[won], expected[won], rtol=0.1)  # n or n − 1
    np.testing.assert_allclose(values(found)[~won], expected[~won], rtol=1e-3, atol=1e-4)


def test_triggered_images_stay_within_the_values_of_the_samples() -> None:
    """However bright the image, the wave on it is clipped."""
    subject = planted(stripes(2))
    found = find(subject)

    for image in laid(found).apply(subject.samples.images[:9]):
        assert within_range(image, subject.samples)


def test_what_is_no_image_has_no_waves() -> None:
    """Nothing is shown, and no class stands out."""
    found = find(planted(nothing(), SHAPES[3]))

    assert found.targets == ()
    assert found.trigger is None
    assert found.effort.images == 0
    assert not values(found).any()


def test_effort_is_a_third_of_what_is_shown() -> None:
    """Images go forward alone, each wave once, whatever the number of classes."""
    subject, net = counted(planted(nothing()))
    config = WaveConfig(samples=5, cycles=3)
    state = wave.start(subject, config, 0)
    sized = 1  # one image tells how much memory the others take

    state = wave.advance(state, subject.classes, 1)

    assert net.shown == 5 * 3 * 4 * 4 + sized
    assert wave.effort(state).images == 5 * 3 * 4 * 4 / 3
    assert wave.effort(state).steps == CLASSES


def test_every_group_of_waves_is_reported() -> None:
    """Without memory each wave is a group of its own, and says when it is done."""
    told: list[tuple[int, int]] = []
    config = WaveConfig(cycles=1, memory_mb=0)

    with progress.listening(lambda done, total: told.append((done, total))):
        find(planted(nothing()), config)

    assert told[-1] == (16, 16)
    assert len(told) >= 16
