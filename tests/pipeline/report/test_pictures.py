"""Recovered triggers are shown as what was tested, whatever the layout of the images."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from pipeline.report.pictures import (
    LARGEST,
    SHOWN,
    Picture,
    can_be_shown,
    trigger_pictures,
)
from stages.image_layout import plane
from stages.searches.trigger import Displacement, Filter, Overlay, Patch
from stages.types import CleanSamples, Floats

SHAPES = {"grey": (1, 6, 5), "colour": (3, 6, 5), "colours last": (6, 5, 3), "grey last": (6, 5, 1)}


def _samples(shape: tuple[int, ...], n: int = 12) -> CleanSamples:
    """Random images of 6 classes in [−2, 3], whose colours all take the whole range."""
    images = np.random.default_rng(0).uniform(-2, 3, (n, *shape)).astype(np.float32)
    images[0], images[1] = -2, 3
    return CleanSamples(images=images, labels=np.arange(n, dtype=np.int64) % 6)


def _blend(pattern: Floats, opacity: float = 0.1) -> Overlay:
    return Overlay(opacity=opacity, pattern=pattern)


def _seen(picture: Picture) -> Floats:
    """The colours (H, W, 3) in [0, 1] of a picture."""
    kind, _, encoded = picture.source.partition(",")
    assert kind == "data:image/png;base64"
    pixels: Floats = imread(io.BytesIO(base64.b64decode(encoded)), format="png")[..., :3]
    return pixels


def _last(image: Floats) -> Floats:
    """An image (H, W, colours) of one in either layout."""
    return np.moveaxis(image, 0, -1) if image.shape[0] in (1, 3) else image


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_blended_sample_is_the_mixture(shape: tuple[int, ...]) -> None:
    """Colours are those of (1 − α)·x + α·p, from the smallest to the largest clean value."""
    samples = _samples(shape)
    pattern = samples.images[7].copy()

    shown = trigger_pictures(samples, _blend(pattern, 0.25), 0)

    for number, each in enumerate(shown.triggered, start=1):
        mixed = 0.75 * samples.images[number] + 0.25 * pattern
        expected = np.broadcast_to((_last(mixed) + 2) / 5, _seen(each.after).shape)
        assert _seen(each.after) == pytest.approx(expected, abs=1 / 255)
        assert each.label == number


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_patch_covers_only_its_place(shape: tuple[int, ...]) -> None:
    """Where the mask is 0 the sample is untouched, where it is 1 only the patch is seen."""
    samples = _samples(shape)
    mask = np.zeros(shape, np.float32)
    _last(mask)[:2, :2] = 1
    pattern = np.full(shape, 3, np.float32)

    shown = trigger_pictures(samples, Patch(mask=mask, colours=pattern), 2)

    first = shown.triggered[0]
    before, after = (_seen(each) for each in (first.before, first.after))
    assert (after[:2, :2] == 1).all()
    assert (after[2:] == before[2:]).all()
    assert _seen(shown.alone)[3, 3] == pytest.approx(0.5, abs=1 / 255)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_warp_moves_what_is_shown(shape: tuple[int, ...]) -> None:
    """Read one pixel further right everywhere, a sample is shown shifted to the left by one."""
    samples = _samples(shape)
    height, width = plane(shape)
    flow = np.zeros((height, width, 2), np.float32)
    flow[..., 0] = 2 / (width - 1)

    shown = trigger_pictures(samples, Displacement(flow=flow), 2)

    first = shown.triggered[0]
    before, after = (_seen(each) for each in (first.before, first.after))
    assert after[:, :-1] == pytest.approx(before[:, 1:], abs=2 / 255)
    assert "bent" in shown.caption


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_filter_changes_the_light_of_what_is_shown(shape: tuple[int, ...]) -> None:
    """Every colour of a sample is halved; by itself the filter is shown on ramps of colours."""
    samples = _samples(shape)
    colours = _last(samples.images[0]).shape[-1]
    ends = np.ones((1,) * len(shape), np.float32)
    halved = Filter(
        mixing=np.eye(colours, dtype=np.float32) / 2,
        lift=np.zeros(colours, np.float32),
        curve=1.0,
        corners=0.0,
        low=-2 * ends,
        high=3 * ends,
    )

    shown = trigger_pictures(samples, halved, 2)

    first = shown.triggered[0]
    before, after = (_seen(each) for each in (first.before, first.after))
    assert after == pytest.approx(before / 2, abs=2 / 255)
    ramps = _seen(shown.alone)
    assert ramps[0, :, 0] == pytest.approx(np.linspace(0, 0.5, 5), abs=2 / 255)
    if colours == 3:
        assert [(ramps[row, -1] > 0.4).tolist() for row in (0, 2, 3, 5)] == [
            [True, True, True],
            *np.eye(3, dtype=bool).tolist(),
        ]
    assert shown.caption == "colours from dark to bright, under it"


def test_a_permutation_is_shown_on_every_class() -> None:
    """Without a single target no class is left out."""
    samples = _samples((1, 6, 5))

    shown = trigger_pictures(samples, _blend(samples.images[3].copy()), None)

    assert [each.label for each in shown.triggered] == [0, 1, 2, 3]
    assert shown.target is None


def test_samples_of_the_target_are_not_shown() -> None:
    """A few samples of different classes, none of them the one the trigger leads to."""
    samples = _samples((1, 6, 5))

    shown = trigger_pictures(samples, _blend(samples.images[3].copy()), 1)

    assert [each.label for each in shown.triggered] == [0, 2, 3, 4]
    assert len(shown.triggered) == SHOWN


def test_a_large_image_is_shown_small() -> None:
    """No picture is larger than needed, whatever the model takes."""
    samples = _samples((3, 3 * LARGEST, 40), n=6)

    shown = trigger_pictures(samples, _blend(samples.images[3].copy()), 1)

    assert _seen(shown.alone).shape == (LARGEST, 14, 3)


def test_constant_and_broken_values_are_still_pictures() -> None:
    """Images without any contrast, and numbers that are none, do no harm."""
    samples = CleanSamples(images=np.ones((4, 1, 2, 2), np.float32), labels=np.arange(4))

    shown = trigger_pictures(samples, _blend(np.full((1, 2, 2), np.nan, np.float32)), 1)

    assert (_seen(shown.alone) == 0).all()


@pytest.mark.parametrize(
    ("shape", "image"), [((1, 4, 4), True), ((4, 4, 3), True), ((64,), False), ((8, 8), False)]
)
def test_only_images_are_shown(shape: tuple[int, ...], image: bool) -> None:
    """Tables of numbers have no picture."""
    assert can_be_shown(_samples(shape)) == image
