"""Checks that labels are class numbers of the model, and says how to mend those that are not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stages.errors import SamplesError
from stages.types import TensorSpec

DTYPES = (np.int64, np.int32)

Array = npt.NDArray[np.generic]


def whole_numbers(labels: Array) -> Array:
    """Class numbers as int64 if they are whole, whatever type they came in; others as they are."""
    numbers = np.issubdtype(labels.dtype, np.number)
    whole = numbers and np.array_equal(labels, np.floor(labels))
    return labels.astype(np.int64) if whole else labels


def check_labels(labels: Array, n: int, output: TensorSpec) -> None:
    """Raises unless there is one class number of the model for each of `n` images, and not all are
    the same.

    Raises:
        SamplesError: it is not so.
    """
    classes = output.shape[-1] if output.shape else None
    if labels.shape != (n,):
        raise SamplesError(
            f"`labels` has shape {labels.shape}, expected ({n},): one class number per"
            f" image{_shape_advice(labels, n)}"
        )
    if labels.dtype not in DTYPES:
        raise SamplesError(f"`labels` is {labels.dtype}, expected int64 class numbers;"
                           f" {_type_advice(labels)}")  # fmt: skip
    _check_range(labels, classes)
    if len(np.unique(labels)) == 1:
        raise SamplesError(
            f"every label is {labels[0]}, expected samples of most of the model's classes; shuffle"
            " before you cut a subset"
        )


def _shape_advice(labels: Array, n: int) -> str:
    """What to do about labels of another shape."""
    if labels.shape == (n, 1):
        return "; take `labels[:, 0]`"
    if labels.ndim == 2 and len(labels) == n:
        return "; of one-hot labels or scores take `labels.argmax(1)`"
    return ""


def _type_advice(labels: Array) -> str:
    """What to do about labels of another type."""
    if labels.dtype.kind in "US":
        return (
            f"names such as `{str(labels[0])[:40]}` become numbers by their place in the model's"
            " order: `[names.index(each) for each in labels]`"
        )
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.floor(labels)):
        return "numbers with fractions are no classes, so look for another column"
    return "convert with `labels.astype(numpy.int64)`"


def _check_range(labels: Array, classes: int | None) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes is not None and high >= classes):
        allowed = "0 or more" if classes is None else f"0 … {classes - 1}"
        raise SamplesError(
            f"`labels` range from {low} to {high}, the model's classes are numbered {allowed};"
            f" {_range_advice(low, high, classes)}"
        )


def _range_advice(low: int, high: int, classes: int | None) -> str:
    if low >= 1 and high == classes:
        return "they count from 1, so save `labels - 1`"
    if low == -1:
        return "-1 often marks images without a label: leave those out"
    if low >= 0 and classes is not None:
        return "the samples are of a task with more classes, or the model is another one"
    return "check the label numbering"
