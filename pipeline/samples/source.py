"""What kind of samples a path leads to, and the pictures of those that are pictures."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pipeline.samples import csv_list, hugging_face
from pipeline.samples.collection import Collection
from stages.errors import SamplesError
from stages.zip_names import names_in

TABLES = (".csv", ".tsv")
KINDS = (
    "an `.npz` file, a folder with a subfolder for each class, a `.csv` of paths and labels, or a"
    " data set that Hugging Face's `datasets` saved"
)
_SWAPPED = "the model comes first, and clean samples after `--samples`"
_OTHERS = {
    **dict.fromkeys(
        (
            *(".onnx", ".keras", ".h5", ".hdf5", ".pt2", ".tflite", ".safetensors", ".pb"),
            *(".data", ".onnx_data", ".mlmodel", ".engine", ".skops"),
        ),
        f"is a model: {_SWAPPED}",
    ),
    **dict.fromkeys(
        (".pt", ".pth", ".pkl", ".pickle", ".joblib"),
        "is a pickle, which is not read because it can run code; save the arrays with"
        " `numpy.savez(file, images=…, labels=…)`",
    ),
    ".npy": "has one array; save images and labels together with `numpy.savez(file, images=…,"
    " labels=…)`",
    **dict.fromkeys(
        (".zip", ".tar", ".gz", ".tgz"), "is an archive; unpack it and name the folder"
    ),
    **dict.fromkeys(
        (".parquet", ".arrow"),
        "is one table of a data set; load it with `datasets` and name the folder that"
        " `save_to_disk` wrote",
    ),
}
"""What is given by mistake, by its suffix, and what to do."""


def exact_file(path: Path) -> Path | None:
    """The `.npz` that a path leads to, itself or as the only one in its folder; None if it leads to
    pictures.

    Raises:
        SamplesError: it leads to something else.
    """
    if path.is_dir():
        inside = sorted(each for each in path.iterdir() if not each.name.startswith("."))
        if any(each.suffix == ".onnx" for each in inside) and not _has_folders(inside):
            raise SamplesError(f"`{path}` is a folder of models: {_SWAPPED}; samples are {KINDS}")
        return inside[0] if len(inside) == 1 and inside[0].suffix == ".npz" else None
    if path.suffix.lower() in TABLES:
        return None
    other = _OTHERS.get(path.suffix.lower())
    if other and not (path.is_file() and _is_exact(path)):
        raise SamplesError(f"`{path}` {other}; samples are {KINDS}")
    return path


def collection_of(path: Path) -> Collection:
    """The pictures that a path leads to, with their labels.

    Raises:
        SamplesError: there are none, or they are not arranged in a way that gives labels.
        ConfigError: a package that reads them is not installed.
    """
    if not path.is_dir():
        return csv_list.read_csv_list(path)
    if hugging_face.is_saved_data_set(path):
        return hugging_face.read_saved_data_set(path)
    from pipeline.samples.class_folders import read_class_folders  # noqa: PLC0415 (heavy)

    return read_class_folders(path)


def _has_folders(inside: list[Path]) -> bool:
    return any(each.is_dir() for each in inside)


def _is_exact(path: Path) -> bool:
    """Whether a file holds arrays whatever its name ends with."""
    try:
        return zipfile.is_zipfile(path) and "images.npy" in names_in(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
