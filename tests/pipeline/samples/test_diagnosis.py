"""Each usual mistake in samples is named, with both accuracies and what mends it.

A classifier of coloured pictures by their nearest prototype stands for a model that was trained
with a given preprocessing; the demo's clean model for one that was really trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest

from pipeline.samples.diagnosis import diagnosis
from pipeline.samples.own_predictions import own_predictions
from stages.types import CleanSamples, Floats, Integers, TensorSpec
from tests.support.pictures import MODEL, digits

Change = Callable[[Floats], Floats]

RANDOM = np.random.default_rng(0)
CLASSES = 12
PROTOTYPES = RANDOM.random((CLASSES, 3, 8, 8), np.float32)
COLOURS = np.broadcast_to(
    np.random.default_rng(1).random((CLASSES, 3, 1, 1), np.float32), PROTOTYPES.shape
)
LABELS = np.tile(np.arange(CLASSES), 20)
PICTURES = np.clip(PROTOTYPES[LABELS] + RANDOM.normal(0, 0.1, (len(LABELS), 3, 8, 8)), 0, 1)
MEAN = np.float32([0.485, 0.456, 0.406])[:, None, None]
STD = np.float32([0.229, 0.224, 0.225])[:, None, None]
CAFFE = np.float32([103.939, 116.779, 123.68])[:, None, None]


def _unit(pictures: Floats) -> Floats:
    return pictures


def _bytes(pictures: Floats) -> Floats:
    return pictures * 255


def _symmetric(pictures: Floats) -> Floats:
    return pictures * 2 - 1


def _imagenet(pictures: Floats) -> Floats:
    return (pictures - MEAN) / STD


def _caffe(pictures: Floats) -> Floats:
    return pictures[:, ::-1] * 255 - CAFFE


def _mixed(pictures: Floats) -> Floats:
    """Channels last that were put first by `reshape`."""
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)).reshape(pictures.shape)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What the model was trained with, what the samples were made with, and what is said of it."""

    wanted: Change = _unit
    given: Change = _unit
    labels: Callable[[Integers], Integers] = lambda labels: labels
    words: tuple[str, ...]


def _as_text(labels: Integers) -> Integers:
    """The numbers that folders of these names get, sorted as text."""
    return np.argsort(sorted(range(CLASSES), key=str))[labels]


MISTAKES = {
    "0-1 for 0-255": Mistake(
        wanted=_bytes, words=("values from 0 to 255", "`images * 255` as `images`")
    ),
    "±1 for 0-255": Mistake(
        wanted=_bytes, given=_symmetric, words=("values from 0 to 255", "hold values from -1 to 1")
    ),
    "ImageNet's for 0-255": Mistake(
        wanted=_bytes, given=_imagenet, words=("hold images with ImageNet's mean",)
    ),
    "divided by 255 twice": Mistake(
        given=lambda x: x / 255, words=("divided by 255 twice", "`images * 255` as `images`")
    ),
    "divided by 255 twice for ±1": Mistake(
        wanted=_symmetric, given=lambda x: x / 255, words=("hold values divided by 255 twice",)
    ),
    "0-1 for Caffe's": Mistake(
        wanted=_caffe, words=("Caffe's preprocessing (blue first", "[:, ::-1]", "103.939")
    ),
    "ImageNet's for Caffe's": Mistake(
        wanted=_caffe, given=_imagenet, words=("Caffe's preprocessing", "0.229, 0.224, 0.225")
    ),
    "channels mixed by reshape": Mistake(
        given=_mixed, words=("by a transposition, not by `reshape`", "transpose(0, 3, 1, 2)")
    ),
    "height and width exchanged": Mistake(
        given=lambda x: x.swapaxes(2, 3), words=("height and width exchanged", "numpy.swapaxes")
    ),
    "black and white exchanged": Mistake(
        given=lambda x: 1 - x, words=("black and white exchanged", "- images` as `images`")
    ),
    "labels from 1, the last class left out": Mistake(
        labels=lambda y: np.minimum(y + 1, CLASSES - 1), words=("from 1, and", "`labels - 1`")
    ),
    "a class for the background": Mistake(
        labels=lambda y: np.maximum(y - 1, 0), words=("from 0, and the model from 1", "labels + 1")
    ),
    "classes sorted as text": Mistake(
        labels=_as_text, words=("as text is sorted, 10 before 2", "numpy.array(")
    ),
    "classes of a model sorted as text": Mistake(
        labels=lambda y: np.array(sorted(range(CLASSES), key=str))[y],
        words=("the model numbers the classes as text is sorted",),
    ),
    "classes from the last one": Mistake(
        labels=lambda y: CLASSES - 1 - y, words=("from the last one back", "[11, 10, 9")
    ),
    "classes in another order": Mistake(
        labels=lambda y: (5 * y + 2) % CLASSES, words=("0 is the model's 2", " …", "numpy.array([")
    ),
    "two classes exchanged with others": Mistake(
        labels=lambda y: (y + CLASSES // 2) % CLASSES, words=("0 is the model's 6",)
    ),
    "values and order at once": Mistake(
        wanted=_bytes,
        labels=lambda y: (5 * y + 2) % CLASSES,
        words=("values from 0 to 255", "0 is the model's 2", "as `images` and save"),
    ),
}


OF_COLOURS = {
    "0-255 for 0-1": Mistake(
        given=_bytes, words=("values from 0 to 1", "`images / 255` as `images`")
    ),
    "0-1 for ImageNet's": Mistake(
        wanted=_imagenet, words=("ImageNet's mean and standard deviation", "0.229, 0.224, 0.225")
    ),
    "ImageNet's for 0-1": Mistake(
        given=_imagenet, words=("hold images with ImageNet's mean", "as `images`")
    ),
    "blue first": Mistake(
        given=lambda x: x[:, ::-1], words=("channels in the other order", "[:, ::-1]` as `images`")
    ),
    "blue first for ImageNet's": Mistake(
        wanted=_imagenet,
        given=lambda x: _imagenet(x[:, ::-1]),
        words=("channels in the other order", "[:, ::-1]"),
    ),
}
"""Mistakes that leave the patterns of a picture as they are, and change its colours alone."""


def _classifier(wanted: Change, prototypes: Floats = PROTOTYPES) -> Change:
    """Logits by the distance to each prototype, seen with the preprocessing that is wanted."""
    centres = wanted(prototypes).reshape(CLASSES, -1).astype(np.float64)

    def classify(images: Floats) -> Floats:
        flat = images.reshape(len(images), -1).astype(np.float64)
        distance = (flat**2).sum(1)[:, None] - 2 * flat @ centres.T + (centres**2).sum(1)
        return np.float32(-distance / distance.std())

    return classify


def _said(classify: Change, images: Floats, labels: Integers, provenance: str = "") -> str | None:
    images = np.ascontiguousarray(images, np.float32)
    samples = CleanSamples(images=images, labels=labels.copy(), provenance=provenance)
    spec = TensorSpec(name="image", shape=(None, *images.shape[1:]), dtype="float32")
    return diagnosis(samples, classify(images), spec, classify, 0.5)


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_named_with_what_mends_it(mistake: Mistake) -> None:
    """The sentence has the accuracy now and after, what was wrong, and what to save instead."""
    found = _said(_classifier(mistake.wanted), mistake.given(PICTURES), mistake.labels(LABELS))

    assert found is not None
    assert found.startswith("clean accuracy is 0.")
    for words in mistake.words:
        assert words in found


@pytest.mark.parametrize("mistake", OF_COLOURS.values(), ids=OF_COLOURS)
def test_each_mistake_of_colours_is_named_too(mistake: Mistake) -> None:
    """By a model that tells its classes by their colours."""
    pictures = np.clip(COLOURS[LABELS] + RANDOM.normal(0, 0.01, PICTURES.shape), 0, 1)

    found = _said(_classifier(mistake.wanted, COLOURS), mistake.given(pictures), LABELS)

    assert found is not None
    for words in mistake.words:
        assert words in found


@pytest.mark.parametrize("given", [_bytes, _symmetric, lambda x: (x - 0.1307) / 0.3081])
def test_a_trained_model_shows_the_mistake_too(given: Change) -> None:
    """Classes in another order as well, so that accuracy is poor in any case."""
    classify, (images, labels) = _demo_model(), digits()

    found = _said(classify, given(images), (3 * labels + 2) % 10)

    assert found is not None
    assert "and 1.00 with values from 0 to 1, where the samples seem to hold" in found
    assert "0 is the model's 6" in found


def test_for_pictures_the_advice_is_an_option() -> None:
    """Whoever gave a folder has no array to save."""
    classify, (images, labels) = _demo_model(), digits()

    values = _said(classify, images / 255, labels, provenance="{}")
    order = _said(classify, images, 9 - labels, provenance="{}")

    assert values is not None
    assert values.endswith("make the samples with `--range 0-1`")
    assert order is not None
    assert order.endswith("name the classes in the model's order by `--class-names FILE`")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (RANDOM.random(PICTURES.shape, np.float32), LABELS),
        (PICTURES, RANDOM.permutation(LABELS)),
        (np.zeros_like(PICTURES), LABELS),
        (np.full_like(PICTURES, 7), LABELS),
    ],
)
def test_what_nothing_explains_is_left_unexplained(images: Floats, labels: Integers) -> None:
    """Noise, labels of other images and flat images fit no order and no preprocessing."""
    assert _said(_classifier(_unit), images, labels) is None


def test_few_samples_of_many_classes_fit_no_order() -> None:
    """With one or two of each any permutation would seem to fit."""
    few = slice(0, 2 * CLASSES)

    assert _said(_classifier(_unit), PICTURES[few], (5 * LABELS[few] + 2) % CLASSES) is None


def test_labels_made_by_the_model_are_noticed() -> None:
    """Always right and never sure: an untrained net with its own predictions for labels."""
    untrained = RANDOM.normal(0, 0.1, (200, 10)).astype(np.float32)

    found = own_predictions(untrained, untrained.argmax(1))

    assert found is not None
    assert "labels made by the model itself prove no accuracy" in found


def test_a_good_model_is_believed() -> None:
    """One that is always right and sure, or unsure and at times wrong."""
    labels = np.arange(200) % 10
    sure = 9 * np.eye(10, dtype=np.float32)[labels]

    assert own_predictions(sure, labels) is None
    assert own_predictions(sure / 9, (labels + (labels == 3)) % 10) is None


def _demo_model() -> Change:
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]
