"""Recovered triggers are shown as what was tested, whatever the layout of the images."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from pipeline.evidence import Evidence
from pipeline.report.pictures import (
    LARGEST,
    Picture,
    TriggerPictures,
    can_be_shown,
    trigger_pictures,
)
from pipeline.shown import MOST, Shown, examples
from stages.image_layout import plane
from stages.searches.search import AttackSuccess, Effort, SearchResult
from stages.searches.trigger import Displacement, Filter, Overlay, Patch, Trigger
from stages.types import CleanSamples, Floats, PreconditionResult

SHAPES = {"grey": (1, 6, 5), "colour": (3, 6, 5), "colours last": (6, 5, 3), "grey last": (6, 5, 1)}


def _samples(shape: tuple[int, ...], n: int = 12) -> CleanSamples:
    """Random images of 6 classes in [−2, 3], whose colours all take the whole range."""
    images = np.random.default_rng(0).uniform(-2, 3, (n, *shape)).astype(np.float32)
    images[0], images[1] = -2, 3
    return CleanSamples(images=images, labels=np.arange(n, dtype=np.int64) % 6)


def _blend(pattern: Floats, opacity: float = 0.1) -> Overlay:
    return Overlay(opacity=opacity, pattern=pattern)


def _evidence(samples: CleanSamples, trigger: Trigger, target: int | None) -> Evidence:
    """A search that recovered a trigger to a class, or from each class to itself."""
    found = SearchResult(
        statistics={},
        targets=(0 if target is None else target,),
        mapping=np.arange(6) if target is None else None,
        trigger=trigger,
        effort=Effort(steps=0, images=0),
    )
    return Evidence(samples=samples, searches={"blend": found})


def _pictures(samples: CleanSamples, trigger: Trigger, target: int | None) -> TriggerPictures:
    shown = trigger_pictures(_evidence(samples, trigger, target), "blend")
    assert shown is not None
    return shown


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

    shown = _pictures(samples, _blend(pattern, 0.25), 0)

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

    shown = _pictures(samples, Patch(mask=mask, colours=pattern), 2)

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

    shown = _pictures(samples, Displacement(flow=flow), 2)

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

    shown = _pictures(samples, halved, 2)

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

    shown = _pictures(samples, _blend(samples.images[3].copy()), None)

    assert [each.label for each in shown.triggered] == [0, 1, 2, 3]
    assert shown.target is None


def test_samples_of_the_target_are_not_shown() -> None:
    """A few samples of different classes, none of them the one the trigger leads to."""
    samples = _samples((1, 6, 5))

    shown = _pictures(samples, _blend(samples.images[3].copy()), 1)

    assert [each.label for each in shown.triggered] == [0, 2, 3, 4]
    assert len(shown.triggered) == MOST


def test_what_the_model_sees_stands_with_each_picture() -> None:
    """Without and with the trigger, for the very samples that were shown to it."""
    samples = _samples((1, 6, 5))
    clean = PreconditionResult(
        logits=np.eye(6, dtype=np.float32)[(samples.labels + 2) % 6],
        clean_accuracy=0.0,
        covered_classes=6,
        reasons=(),
    )
    seen = Shown(places=np.array([8, 3]), predicted=np.array([1, 5]))
    evidence = _evidence(samples, _blend(samples.images[3].copy()), 1)

    shown = trigger_pictures(replace(evidence, precondition=clean, shown={"blend": seen}), "blend")

    assert shown is not None
    found = [(each.label, each.seen_before, each.seen_after) for each in shown.triggered]
    assert found == [(2, 4, 1), (3, 5, 5)]
    assert "triggered, seen as class 1" in shown.triggered[0].after.alt


def test_samples_that_the_model_gets_right_come_first() -> None:
    """Of each class the first such one is shown, and the first of all where there is none."""
    samples = _samples((1, 6, 5))
    predicted = samples.labels.copy()
    predicted[[0, 2, 8]] = 5  # the first sample of class 0, and both of class 2
    clean = PreconditionResult(
        logits=np.eye(6, dtype=np.float32)[predicted],
        clean_accuracy=0.75,
        covered_classes=6,
        reasons=(),
    )

    found = _evidence(samples, _blend(samples.images[3].copy()), 3).searches["blend"]
    one_source = replace(found, success=AttackSuccess(rate=0.5, samples=4, source=0))

    assert examples(samples, found, clean).tolist() == [6, 1, 2, 4]
    assert examples(samples, found).tolist() == [0, 1, 2, 4]
    assert examples(samples, one_source, clean).tolist() == [6, 0]


def test_a_large_image_is_shown_small() -> None:
    """No picture is larger than needed, whatever the model takes."""
    samples = _samples((3, 3 * LARGEST, 40), n=6)

    shown = _pictures(samples, _blend(samples.images[3].copy()), 1)

    assert _seen(shown.alone).shape == (LARGEST, 14, 3)


def test_constant_and_broken_values_are_still_pictures() -> None:
    """Images without any contrast, and numbers that are none, do no harm."""
    samples = CleanSamples(images=np.ones((4, 1, 2, 2), np.float32), labels=np.arange(4))

    shown = _pictures(samples, _blend(np.full((1, 2, 2), np.nan, np.float32)), 1)

    assert (_seen(shown.alone) == 0).all()


@pytest.mark.parametrize(
    ("shape", "image"), [((1, 4, 4), True), ((4, 4, 3), True), ((64,), False), ((8, 8), False)]
)
def test_only_images_are_shown(shape: tuple[int, ...], image: bool) -> None:
    """Tables of numbers have no picture."""
    assert can_be_shown(_samples(shape)) == image
