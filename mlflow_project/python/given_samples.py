"""Clean samples as a caller in Python has them, as a file that a scan takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.intake.sample_labels import whole_numbers
from stages.errors import SamplesError

FILE = "samples.npz"
MOST = 2000
"""Samples that are taken from a data set; a scan needs a few hundred."""
BATCH = 64

Samples = str | Path | npt.NDArray[np.generic] | torch.Tensor | DataLoader[Any] | Dataset[Any]
Labels = npt.NDArray[np.generic] | torch.Tensor | list[int] | None
Array = npt.NDArray[np.generic]


def written(images: Samples, labels: Labels, seed: int, folder: Path) -> Path:
    """The path as it is; of arrays, a DataLoader or a Dataset of pairs, an `.npz` in the folder.

    Raises:
        SamplesError: labels are missing, or there are some beside samples that have their own.
    """
    if isinstance(images, str | Path):
        _require(labels is None, "a file of samples has labels of its own, found others beside it")
        return Path(images)
    if isinstance(images, DataLoader | Dataset):
        _require(labels is None, "a data set gives its own labels, found others beside it")
        images, labels = _drawn(images, seed)
    if labels is None:
        raise SamplesError("the images have no labels; give one class number per image")
    np.savez(
        folder / FILE,
        images=_array(images).astype(np.float32),
        labels=whole_numbers(_array(labels)),
    )
    return folder / FILE


def _drawn(source: DataLoader[Any] | Dataset[Any], seed: int) -> tuple[Array, Array]:
    """The first batches of a DataLoader, or samples of a Dataset in a random order."""
    if isinstance(source, Dataset):
        order = torch.Generator().manual_seed(seed)
        source = DataLoader(source, batch_size=BATCH, shuffle=True, generator=order)
    images, labels = zip(*_batches(source), strict=True)
    return np.concatenate(images)[:MOST], np.concatenate(labels)[:MOST]


def _batches(loader: DataLoader[Any]) -> Iterator[tuple[Array, Array]]:
    seen = 0
    for batch in loader:
        if not isinstance(batch, list | tuple) or len(batch) < 2:
            raise SamplesError(
                f"the data set gives a `{type(batch).__name__}`, expected pairs of images and"
                " labels; give arrays of both instead"
            )
        images, labels = _array(batch[0]), _array(batch[1])
        yield images, labels
        seen += len(images)
        if seen >= MOST:
            return
    _require(seen > 0, "the data set is empty, expected a few hundred labelled clean samples")


def _array(values: Any) -> Array:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise SamplesError(what)
