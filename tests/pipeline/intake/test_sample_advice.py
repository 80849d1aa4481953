"""Arrays that do not fit the model are refused with what brings them there."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.intake.sample_labels import check_labels
from pipeline.intake.sample_shapes import shape_advice
from stages.errors import SamplesError
from stages.types import TensorSpec

LABELS = np.arange(10) % 5
OUTPUT = TensorSpec(name="logits", shape=(None, 5), dtype="float32")


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (LABELS + 1, "they count from 1, so save `labels - 1`"),
        (LABELS - 1, "leave those out"),
        (LABELS * 30, "of a task with more classes, or the model is another one"),
        (LABELS - 7, "check the label numbering"),
        (np.eye(5)[LABELS], "of one-hot labels or scores take `labels.argmax(1)`"),
        (LABELS[:, None], "take `labels[:, 0]`"),
        (LABELS.astype(np.float32), "convert with `labels.astype(numpy.int64)`"),
        (LABELS.astype(np.uint8), "convert with `labels.astype(numpy.int64)`"),
        (LABELS + 0.5, "numbers with fractions are no classes"),
        (np.array(["cat", "dog"])[LABELS % 2], "`[names.index(each) for each in labels]`"),
        (np.array([b"cat", b"dog"])[LABELS % 2], "`[names.index(each) for each in labels]`"),
        (np.zeros(10, np.int64), "shuffle before you cut a subset"),
    ],
)
def test_labels_are_refused_with_what_mends_them(labels: np.ndarray, advice: str) -> None:
    """Each form that labels have in other tools has a remedy that works."""
    with pytest.raises(SamplesError, match=re.escape(advice)):
        check_labels(labels, 10, OUTPUT)


@pytest.mark.parametrize(
    ("found", "expected", "advice"),
    [
        ((28, 28), (1, 28, 28), "numpy.expand_dims(images, 1)"),
        ((28, 28), (28, 28, 1), "numpy.expand_dims(images, 3)"),
        ((1, 32, 32), (3, 32, 32), "numpy.repeat(images, 3, 1)"),
        ((32, 32, 1), (32, 32, 3), "numpy.repeat(images, 3, 3)"),
        ((3, 28, 28), (1, 28, 28), "convert('L')"),
        ((4, 28, 28), (3, 28, 28), "convert('RGB')"),
        ((28, 28), (784,), "images.reshape(len(images), -1)"),
        ((3, 256, 256), (3, 224, 224), "resize or crop"),
        ((), (3, 224, 224), "resize or crop"),
    ],
)
def test_images_are_refused_with_what_mends_them(
    found: tuple[int, ...], expected: tuple[int, ...], advice: str
) -> None:
    """What is advised gives the shape that is expected."""
    assert advice in shape_advice(found, expected)

    code = re.search(r"`((?:numpy|images)\..*)`", shape_advice(found, expected))
    if code:
        images = np.zeros((2, *found))
        mended = eval(code[1], {"numpy": np, "images": images, "len": len})  # noqa: S307 (our own)
        assert mended.shape[1:] == expected
