"""Clean samples as a caller in Python has them, as a file or place that a scan takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from mlflow_project.python.arrays import Array, as_array, class_numbers
from mlflow_project.python.batches import drawn
from pipeline.samples.preparation import Preparation
from stages.errors import SamplesError

FILE = "samples.npz"
FOLDER = "data-set"
IN_MEMORY = "samples in memory"
"""What they are called in a run."""


class SavedDataset(Protocol):
    """A data set of Hugging Face's `datasets`, or what is saved like one."""

    def save_to_disk(self, dataset_path: str, /) -> object:
        """Writes it into a folder."""


class MlflowDataset(Protocol):
    """A data set of MLflow: one that was made by `mlflow.data`, or the input of a run."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def digest(self) -> str:
        """A digest of its content."""


Samples = (
    str
    | os.PathLike[str]
    | npt.NDArray[Any]
    | torch.Tensor
    | Sequence[Any]
    | DataLoader[Any]
    | Dataset[Any]
    | SavedDataset
    | MlflowDataset
)
"""A path or URI, images beside labels, or a data set of pairs of both."""
Labels = npt.NDArray[Any] | torch.Tensor | Sequence[int] | Sequence[str] | None
"""Class numbers, or names where the names of the classes are given in the model's order."""


def is_place(images: Samples) -> bool:
    """Whether samples are given by a path or URI."""
    return isinstance(images, str | os.PathLike)


def written(images: Samples, labels: Labels, asked: Preparation, folder: Path) -> str:
    """The path or URI as it is; of samples in memory, where they lie in the folder.

    Labels that are text become numbers by the class names that are `asked` for.

    Raises:
        SamplesError: labels are missing, there are some beside samples that have their own, or what
            was given is no samples.
        RegistryError: the place that a data set of MLflow names cannot be read.
    """
    if isinstance(images, str | os.PathLike):
        _require(labels is None, "samples in a file have labels of their own, found others beside")
        return os.fspath(images)
    names = asked.class_names if isinstance(asked.class_names, tuple) else ()
    is_mlflow = type(images).__module__.startswith("mlflow.")
    if is_mlflow or isinstance(images, DataLoader | Dataset) or hasattr(images, "save_to_disk"):
        _require(labels is None, "a data set gives its own labels, found others beside it")
    if is_mlflow:
        from mlflow_project.python import mlflow_datasets  # noqa: PLC0415 (MLflow, where wanted)

        found = mlflow_datasets.samples_in(images, folder)
        return found if isinstance(found, str) else _saved(*found, folder, names)
    if isinstance(images, DataLoader | Dataset):
        return _saved(*drawn(images, asked.seed), folder, names)
    if hasattr(images, "save_to_disk"):
        place = folder / FOLDER
        cast(SavedDataset, images).save_to_disk(str(place))
        return str(place)
    return _saved(images, labels, folder, names)


def _saved(images: object, labels: object, folder: Path, names: Sequence[str]) -> str:
    """Images and labels as a file in the folder."""
    _require(
        images is not None and not isinstance(images, dict | torch.nn.Module),
        f"a `{type(images).__name__}` is no samples; expected images with their labels, a"
        " DataLoader, or a path; the model comes first",
    )
    if labels is None:
        raise SamplesError("the images have no labels; give one class number per image")
    pixels: Array = as_array(images, "images").astype(np.float32)
    np.savez(folder / FILE, images=pixels, labels=class_numbers(labels, names))
    return str(folder / FILE)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise SamplesError(what)
