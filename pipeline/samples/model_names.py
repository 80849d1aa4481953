"""What a model itself says of its classes: in the file's metadata, or in files beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.samples.small_file import read_small
from stages.class_names import Names, names_of, stated_names
from stages.errors import BanGateError, ConfigError, ModelRefused
from stages.export.detect import find_source
from stages.export.mlmodel_file import read_mlmodel
from stages.types import OnnxArtifact

CONFIG = "config.json"
LARGEST = 8 * 2**20  # bytes
_UNREADABLE = (OSError, ValueError, RecursionError)
_PLACEHOLDER = re.compile(r"LABEL_\d+")


def folder_beside(model: str) -> Path | None:
    """The folder with the files that belong to a model; None where it is not known."""
    path = Path(model)
    if path.is_dir():
        return path
    with suppress(BanGateError):
        return find_source(model).path.parent
    return None


def names_in_model(artifact: OnnxArtifact, beside: Path | None) -> Names:
    """The names of the model's classes as it states them, empty where it states none that fit.

    Looked for in `config.json` of transformers and in metadata and signature of MLflow's `MLmodel`
    beside the model, then in the metadata of the ONNX file.
    """
    classes = artifact.output.shape[-1] if artifact.output.shape else None
    for names in (*_beside(beside), artifact.class_names):
        placeholders = all(_PLACEHOLDER.fullmatch(name) for name in names)
        if names and not placeholders and classes in (None, len(names)):
            return names
    return ()


def names_asked(given: Path | Names, classes: int | None) -> Names:
    """The names that a caller gives, or those in the file that is named.

    Raises:
        ConfigError: a file cannot be read, or there is not one name for each of the model's
            classes.
    """
    if isinstance(given, Path):
        return names_in_file(given, classes)
    names = names_of(given)
    if not names or classes not in (None, len(names)):
        raise ConfigError(
            f"{len(given)} class names were given, the model has {classes or 'its'} classes; give"
            " one printable text for each, in the order of the model's outputs"
        )
    return names


def names_in_file(path: Path, classes: int | None) -> Names:
    """The names in a text file with one name a line, or in JSON: a list, or `id2label`.

    Raises:
        ConfigError: it cannot be read, or has not one name for each of the model's classes.
    """
    try:
        text = read_small(path, LARGEST).decode("utf-8-sig")
        names = _in_json(json.loads(text)) if path.suffix == ".json" else _lines(text)
    except _UNREADABLE as error:
        raise ConfigError(
            f"class names `{path}` cannot be read ({error}); expected one name a line, or JSON with"
            ' `id2label`, such as {"0": "cat", "1": "dog"}'
        ) from error
    if not names or classes not in (None, len(names)):
        raise ConfigError(
            f"`{path}` has {len(names)} class names, the model has {classes or 'its'} classes; give"
            " one name for each, in the order of the model's outputs"
        )
    return names


def _lines(text: str) -> Names:
    return names_of([line.strip() for line in text.splitlines() if line.strip()])


def _in_json(document: Any) -> Names:
    if isinstance(document, dict):
        found = stated_names(document)
        return found or names_of(document.get("label2id")) or names_of(document)
    return names_of(document)


def _beside(folder: Path | None) -> Iterator[Names]:
    if folder is None:
        return
    with suppress(*_UNREADABLE):
        document = json.loads(read_small(folder / CONFIG, LARGEST))
        yield stated_names(document) if isinstance(document, dict) else ()
    with suppress(ModelRefused, *_UNREADABLE):
        document = read_mlmodel(folder)
        metadata = document.get("metadata")
        yield stated_names(metadata) if isinstance(metadata, dict) else ()
        yield _in_signature(document.get("signature"))


def _in_signature(signature: object) -> Names:
    """The names of the outputs in MLflow's signature of a model that has one column for each class.

    Tensors, which most classifiers have, name no classes.
    """
    outputs = signature.get("outputs") if isinstance(signature, dict) else None
    columns = json.loads(outputs) if isinstance(outputs, str) else None
    if not isinstance(columns, list) or len(columns) < 2:
        return ()
    if not all(isinstance(each, dict) and each.get("type") != "tensor" for each in columns):
        return ()
    return names_of([each.get("name") for each in columns])
