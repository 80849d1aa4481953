"""Samples out of a DataLoader or Dataset of torch: the first of them, drawn by the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mlflow_project.python.arrays import Array, as_array
from stages.errors import SamplesError

MOST = 2000
"""Samples that are taken from a data set; a scan needs a few hundred."""
BATCH = 64
IMAGES = ("image", "images", "img", "pixel_values", "input", "inputs", "x")
LABELS = ("label", "labels", "fine_label", "class", "target", "targets", "y")
"""What images and labels are called in data sets that give a dictionary for each batch."""
PAIRS = "expected pairs of images and labels; give arrays of both instead"


def drawn(source: DataLoader[Any] | Dataset[Any], seed: int) -> tuple[Array, Array]:
    """The first batches of a DataLoader, or samples of a Dataset in a random order.

    The seed decides what shuffles or augments, and torch's own generator is left as it was.

    Raises:
        SamplesError: it is empty, cannot be read, or gives something else than pairs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(source, Dataset):
            source = DataLoader(source, batch_size=BATCH, shuffle=hasattr(source, "__len__"))
        found = list(_batches(source))
    if not found:
        raise SamplesError("the data set is empty, expected a few hundred labelled clean samples")
    images, labels = zip(*found, strict=True)
    try:
        return np.concatenate(images)[:MOST], np.concatenate(labels)[:MOST]
    except ValueError as error:
        raise SamplesError(
            f"the batches of the data set do not fit together ({error}); resize all images to the"
            " size that the model takes"
        ) from error


def _batches(loader: DataLoader[Any]) -> Iterator[tuple[Array, Array]]:
    seen = 0
    for batch in _read(loader):
        images, labels = (as_array(each, "batches") for each in _pair(batch))
        if loader.batch_size is None and labels.ndim == 0:  # one sample at a time, in no batch
            images, labels = images[None], labels[None]
        yield images, labels
        seen += len(images)
        if seen >= MOST:
            return


def _read(loader: DataLoader[Any]) -> Iterator[object]:
    """The batches; what a data set raises is told in a sentence."""
    try:
        yield from loader
    except Exception as error:
        pictures = "PIL" in str(error)
        advice = (
            "end its transforms with `ToTensor`, or give the folder of the pictures itself"
            if pictures
            else "iterate over it yourself to see where"
        )
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise SamplesError(f"the data set cannot be read ({reason}); {advice}") from error


def _pair(batch: object) -> tuple[object, object]:
    """Images and labels of a batch."""
    if isinstance(batch, Mapping):
        found = [[name for name in batch if name in known] for known in (IMAGES, LABELS)]
        if all(len(each) == 1 for each in found):
            return batch[found[0][0]], batch[found[1][0]]
        names = ", ".join(f"`{str(name)[:40]}`" for name in batch)
        raise SamplesError(f"the data set gives {names}, {PAIRS}")
    if not isinstance(batch, list | tuple) or len(batch) < 2:
        raise SamplesError(f"the data set gives a `{type(batch).__name__}`, {PAIRS}")
    return batch[0], batch[1]
