"""Which model is in a folder written by MLflow, by its `MLmodel` file; nothing is loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import ModelRefused
from stages.export.mlmodel_file import read_mlmodel
from stages.export.source import ModelSource
from stages.zip_names import names_in

PYFUNC = "python_function"
"""The flavour by which MLflow serves a model of any other."""


@dataclass(frozen=True)
class _Place:
    """Where a flavour keeps its model: the value of `option` with `end` behind it."""

    option: str
    end: str
    framework: str
    kind: str = ""


_KERAS = (
    _Place("data", "/model.keras", "keras"),
    _Place("data", "/model.h5", "keras"),
    _Place("data", "/model", "tensorflow"),
    _Place("saved_model_dir", "", "tensorflow"),
)
FLAVOURS = {
    "onnx": (_Place("data", "", "onnx", "mlflow"),),
    "pytorch": (
        _Place("model_data", "/model.pt2", "pytorch", "program"),
        _Place("model_data", "/model.pth", "pytorch", "module"),
    ),
    "keras": _KERAS,
    "tensorflow": _KERAS,
    "sklearn": (_Place("pickled_model", "", "sklearn", "pickle"),),
    "transformers": (
        _Place("model_binary", "", "transformers"),
        _Place("pipeline", "", "transformers"),
    ),
    "paddle": (_Place("pickled_model", ".pdiparams", "paddle"),),
}
"""In order of preference, for folders that have several."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The model of one flavour: `option` of the flavour is what names it, by `value`."""

    flavour: str
    option: str
    value: str
    source: ModelSource


def source_in_mlflow_folder(folder: Path) -> ModelSource:
    """The framework, file and code folder of the model in a folder that holds an `MLmodel` file.

    Raises:
        ModelRefused: the `MLmodel` file cannot be read, points outside the folder or to something
            missing, or has no flavour that can be exported.
    """
    return judged_flavour(folder, read_flavours(read_mlmodel(folder), folder)).source


def judged_flavour(folder: Path, flavours: Mapping[str, object]) -> Found:
    """The flavour that is judged: the first in the order of `FLAVOURS`.

    Raises:
        ModelRefused: there is none, or it points outside the folder or to something missing.
    """
    for name in FLAVOURS:
        if name in flavours:
            return find_flavour(folder, name, flavours[name])
    raise ModelRefused(
        f"the MLflow model in `{folder.name}` has the flavours {_listed(flavours)}, expected one of"
        f" {_listed(FLAVOURS)}; log the network itself in one of these, or name a function that"
        " builds it, as FILE.py:FUNCTION"
    )


def read_flavours(document: Mapping[str, object], folder: Path) -> Mapping[str, object]:
    """The options of each flavour in an `MLmodel` file.

    Raises:
        ModelRefused: it has no table of flavours.
    """
    flavours = document.get("flavors")
    if not isinstance(flavours, dict) or not all(isinstance(name, str) for name in flavours):
        raise ModelRefused(
            f"`MLmodel` in `{folder.name}` has no table `flavors`; give a folder that MLflow wrote"
        )
    return flavours


def find_flavour(folder: Path, name: str, options: object) -> Found:
    """The model of one of `FLAVOURS`: the first of its places that is there.

    Raises:
        ModelRefused: it points outside the folder or to something missing.
    """
    places = FLAVOURS[name]
    if not isinstance(options, dict):
        raise ModelRefused(f"`MLmodel` in `{folder.name}` says nothing about its flavour `{name}`")
    stated = [(place, options[place.option]) for place in places if options.get(place.option)]
    for place, value in stated:
        path = _inside(folder, value, place.end)
        if path:
            kind = _kind(path, place.kind)
            code = _code(folder, options.get("code"))
            source = ModelSource(framework=place.framework, path=path, kind=kind, code=code)
            return Found(flavour=name, option=place.option, value=value, source=source)
    expected = [f"{value}{place.end}" for place, value in stated] or [one.option for one in places]
    raise _missing(folder, name, expected)


def _code(folder: Path, stated: object) -> tuple[Path, ...]:
    if not stated:
        return ()
    code = _inside(folder, stated)
    if not code:
        raise _missing(folder, "code of the", [str(stated)])
    return (code,)


def _missing(folder: Path, what: str, expected: list[str]) -> ModelRefused:
    return ModelRefused(
        f"the {what} model in `{folder.name}` is not in the folder: expected {_listed(expected)};"
        " save or download the model again with its weights"
    )


def _inside(folder: Path, value: object, end: str = "") -> Path | None:
    """The path of something in the folder; None where there is nothing."""
    path = folder / f"{value}{end}"
    try:
        is_inside = path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return None
    if is_inside and isinstance(value, str):
        return path
    raise ModelRefused(
        f"`MLmodel` in `{folder.name}` points to `{value}`, expected the name of something inside"
        " its folder; save the model again with MLflow"
    )


def _kind(path: Path, kind: str) -> str:
    """The kind a place has, or what the file itself shows where MLflow does not say."""
    if path.suffix == ".skops":
        return "skops"
    if kind == "module" and zipfile.is_zipfile(path):
        try:
            members = {name.partition("/")[2] for name in names_in(path)}
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise ModelRefused(
                f"`{path.name}` is an archive that cannot be read ({error}); save the model again"
            ) from error
        return "torchscript" if "constants.pkl" in members else "module"
    return kind


def _listed(names: Mapping[str, object] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
