"""Reads the clean samples of a scan and checks that they fit the model.

The file is an `.npz` with `images` (N, *input shape without batch) float32, in the model's own
input space, and `labels` (N,) int64 or int32.
"""

from __future__ import annotations

import logging
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.intake import npz
from pipeline.intake.sample_labels import check_labels
from pipeline.intake.sample_shapes import shape_advice
from stages.errors import SamplesError
from stages.types import CleanSamples, Floats, OnnxArtifact, TensorSpec
from stages.zip_names import names_in

KEYS = ("images", "labels")
HOW_TO_SAVE = "save them with `numpy.savez(file, images=…, labels=…)`"
UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    MemoryError,  # a header may claim any size
    SyntaxError,  # a header is a Python literal
    tokenize.TokenError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)

Array = npt.NDArray[np.generic]

logger = logging.getLogger(__name__)


def read_samples(path: Path, artifact: OnnxArtifact) -> CleanSamples:
    """The labelled clean samples in an `.npz` file, checked against the model they are for.

    Raises:
        SamplesError: the file breaks the contract, or does not fit the model.
    """
    return fitting(*_arrays(path), artifact)


def fitting(images: Array, labels: Array, artifact: OnnxArtifact) -> CleanSamples:
    """Images (N, *input shape) and labels (N,) as clean samples, checked against the model.

    Raises:
        SamplesError: they break the contract, or do not fit the model.
    """
    images = arranged(images, artifact.input)
    _check_images(images, artifact.input)
    check_labels(labels, len(images), artifact.output)
    return CleanSamples(images=images.astype(np.float32), labels=labels.astype(np.int64))


def first_images(path: Path, count: int) -> Floats:
    """The first images (n ≤ count, *image shape) of a samples file, before a model is known.

    Raises:
        SamplesError: the file breaks the contract.
    """
    images, _ = _arrays(path)
    _check_dtype(images)
    _check_values(images)
    return images[:count].astype(np.float32)


def arranged(images: Array, expected: TensorSpec) -> Array:
    """The images (N, *image shape) with their channels where the model wants them, if only the
    other place fits.
    """
    sizes = expected.shape[1:]
    if images.ndim != 4 or len(sizes) != 3 or None in sizes or images.shape[1:] == sizes:
        return images
    for axes, what in (((0, 3, 1, 2), "first"), ((0, 2, 3, 1), "last")):
        if tuple(images.shape[axis] for axis in axes[1:]) == sizes:
            logger.info("the samples' channels were put %s, as the model reads them", what)
            return images.transpose(axes)
    return images


def _arrays(path: Path) -> tuple[Array, Array]:
    if path.is_dir():
        raise SamplesError(
            f"samples `{path}` is a folder, expected an `.npz` file; `ban-gate samples` writes one"
        )
    if not path.is_file() or not zipfile.is_zipfile(path):  # a pipe would block for ever
        raise SamplesError(f"samples `{path}` are not an `.npz` file; {HOW_TO_SAVE}")
    try:
        _check_keys(path, [each.removesuffix(npz.SUFFIX) for each in names_in(path)])
        npz.require_within(path, [f"{key}{npz.SUFFIX}" for key in KEYS], npz.LARGEST)
        with np.load(path, allow_pickle=False) as stored:
            return stored["images"], stored["labels"]
    except npz.TooLargeError as error:
        raise SamplesError(
            f"samples `{path}` are too large: {error}; a few hundred images are enough"
        ) from error
    except UNREADABLE as error:
        raise SamplesError(
            f"samples `{path}` cannot be read ({error}); the file is damaged or holds Python"
            " objects, write it again from plain number arrays"
        ) from error


def _check_keys(path: Path, names: list[str]) -> None:
    missing = [f"`{key}`" for key in KEYS if key not in names]
    if missing:
        raise SamplesError(
            f"samples `{path}` lack {' and '.join(missing)}, found"
            f" {', '.join(f'`{name}`' for name in sorted(names)) or 'no arrays'}; {HOW_TO_SAVE}"
        )


def _check_images(images: Array, expected: TensorSpec) -> None:
    _check_dtype(images)
    _check_shape(images.shape, expected)
    _check_values(images)


def _check_dtype(images: Array) -> None:
    if images.dtype != np.float32:
        raise SamplesError(
            f"`images` is {images.dtype}, expected float32 in the model's own input space; apply"
            " the model's preprocessing and convert with `images.astype(numpy.float32)`"
        )


def _check_values(images: Array) -> None:
    if not len(images):
        raise SamplesError("`images` is empty, expected a few hundred labelled clean samples")
    finite = np.isfinite(images)
    if not finite.all():
        raise SamplesError(
            f"`images` holds {int((~finite).sum())} values that are NaN or infinite, expected"
            " finite numbers; check the preprocessing"
        )


def _check_shape(actual: tuple[int, ...], expected: TensorSpec) -> None:
    sizes = expected.shape[1:]
    fits = len(actual) == len(expected.shape) and all(
        size is None or size == have for size, have in zip(sizes, actual[1:], strict=True)
    )
    if fits:
        return
    shape = ", ".join(["N", *("any" if size is None else str(size) for size in sizes)])
    raise SamplesError(
        f"`images` has shape {actual}, the model's input `{expected.name}` expects ({shape});"
        f" {shape_advice(actual[1:], sizes)}"
    )
