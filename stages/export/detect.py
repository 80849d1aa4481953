"""What kind of model is at a path, by names and members of archives; nothing is loaded."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from stages.errors import ConfigError, ModelRefused
from stages.export.mlflow_folder import source_in_mlflow_folder
from stages.export.source import ModelSource
from stages.zip_names import names_in

FACTORY_SUFFIX = ".py"
LARGEST_CONFIG = 10 * 1024**2
"""Bytes of a `config.json`; the names of 20,000 classes take one million."""
_BY_SUFFIX = {
    **dict.fromkeys((".pt", ".pth"), ("pytorch", "module")),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), ("keras", "")),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), ("sklearn", "pickle")),
    **dict.fromkeys((".pdmodel", ".pdiparams"), ("paddle", "")),
    ".skops": ("sklearn", "skops"),
}
MODEL_SUFFIXES = (".onnx", ".pt2", *_BY_SUFFIX)
"""What the names of files that hold a model end with."""


def find_source(model: str) -> ModelSource:
    """The framework and place of a model named on a command line.

    `model` is a file, a folder, or `FILE.py:FUNCTION`. What no other framework claims is taken for
    an ONNX file.

    Raises:
        ConfigError: there is nothing at the path, or a folder without a model.
        ModelRefused: an MLflow folder has no flavour that can be exported.
    """
    path, function = place_of(model)
    if function and path.is_file():
        return ModelSource(framework="", path=path, kind="factory", factory=function)
    if path.is_dir():
        return _in_folder(path)
    if not path.exists():
        raise ConfigError(f"model `{model}` does not exist; give the path of a file or folder")
    if path.suffix == FACTORY_SUFFIX:
        raise ConfigError(
            f"`{model}` is Python code; name the function that builds the model, as"
            f" {path.name}:FUNCTION"
        )
    framework, kind = _of_archive(path) or _BY_SUFFIX.get(path.suffix, ("onnx", ""))
    return ModelSource(framework=framework, path=path, kind=kind)


def place_of(model: str) -> tuple[Path, str | None]:
    """The path in the name of a model, and the function where it is `FILE.py:FUNCTION`."""
    place, _, function = model.rpartition(":")
    if place.endswith(FACTORY_SUFFIX) and function:
        return Path(place), function
    return Path(model), None


def models_at(model: str) -> tuple[str, ...]:
    """The models that a name on a command line stands for: the ONNX files of a folder that holds
    several and is no model itself, else the one of that name.
    """
    folder = Path(model)
    if not folder.is_dir() or (folder / "MLmodel").is_file():
        return (model,)
    if any(claims(folder) for claims in _FOLDERS.values()):
        return (model,)
    files = onnx_files(folder)
    return tuple(map(str, files)) if len(files) > 1 else (model,)


def _in_folder(folder: Path) -> ModelSource:
    if (folder / "MLmodel").is_file():
        return source_in_mlflow_folder(folder)
    for framework, claims in _FOLDERS.items():
        if claims(folder):
            return ModelSource(framework=framework, path=folder)
    if len(models := onnx_files(folder)) == 1:
        return ModelSource(framework="onnx", path=models[0])
    raise ConfigError(
        f"folder `{folder}` holds no model that is known: expected one written by MLflow,"
        " TensorFlow (SavedModel), PaddlePaddle or transformers, or exactly one ONNX file, found"
        f" {len(models)}; {_advice(folder, models)}"
    )


def _advice(folder: Path, models: list[Path]) -> str:
    """What to do about a folder that is no model."""
    if models:
        return f"name one of them, such as `{models[0].name}`"
    if any(each.is_dir() for each in folder.iterdir()):
        return "if these are pictures, the model comes first and the samples after `--samples`"
    return "name the model's own file or folder"


def find_source_of_version(folder: Path) -> ModelSource:
    """The framework and place of the one model in the folder of a registered version.

    Raises:
        ModelRefused: it is neither a folder that MLflow wrote nor one with exactly one ONNX file.
    """
    if (folder / "MLmodel").is_file():
        return source_in_mlflow_folder(folder)
    if len(models := onnx_files(folder)) == 1:
        return ModelSource(framework="onnx", path=models[0])
    raise ModelRefused(
        f"the version holds no `MLmodel` and {len(models)} ONNX files, expected an `MLmodel` or"
        " exactly one ONNX file; log the model with MLflow and register it again"
    )


def onnx_files(folder: Path) -> list[Path]:
    """The ONNX files directly in a folder, by their names."""
    return sorted(each for each in folder.iterdir() if each.suffix.lower() == ".onnx")


def _is_transformers(folder: Path) -> bool:
    try:
        with (folder / "config.json").open("rb") as file:
            config = json.loads(file.read(LARGEST_CONFIG))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and "model_type" in config


_FOLDERS: dict[str, Callable[[Path], bool]] = {
    "tensorflow": lambda folder: (folder / "saved_model.pb").is_file(),
    "paddle": lambda folder: any(folder.glob("*.pdiparams")),
    "transformers": _is_transformers,
}


def _of_archive(path: Path) -> tuple[str, str] | None:
    """Framework and kind of a zip archive by the members it has; None for other files."""
    if not path.is_file() or not zipfile.is_zipfile(path):  # a pipe would block for ever
        return None
    try:
        names = {name.partition("/")[2] or name for name in names_in(path)}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelRefused(
            f"`{path.name}` is an archive that cannot be read ({error}); export the model again"
        ) from error
    for member, framework_and_kind in _BY_MEMBER.items():
        if member in names:
            return framework_and_kind
    return None


_BY_MEMBER = {
    "model.weights.h5": ("keras", ""),
    "archive_format": ("pytorch", "program"),
    "serialized_exported_program.json": ("pytorch", "program"),
    "constants.pkl": ("pytorch", "torchscript"),
    "schema.json": ("sklearn", "skops"),
    "data.pkl": ("pytorch", "module"),
}
"""In this order: TorchScript has `data.pkl` too."""
