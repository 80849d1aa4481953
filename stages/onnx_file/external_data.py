"""Makes one file of an ONNX model whose weights lie beside it, as torch and MLflow write it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import EncodeError  # type: ignore[import-untyped] # has no types
from onnx import ModelProto, TensorProto, external_data_helper
from onnx.external_data_helper import ExternalDataInfo

from stages.errors import ModelRefused
from stages.onnx_file.inspection import LARGEST_FILE, load_proto, require_plain, tensors

_MODELS = frozenset(
    [
        *(".onnx", ".ort", ".pb", ".tflite", ".pt", ".pt2", ".pth", ".keras", ".h5", ".hdf5"),
        *(".pkl", ".pickle", ".joblib", ".skops", ".pdmodel", ".pdiparams", ".json", ".yaml"),
        *(".py", ".pyc", ".so", ".dll", ".dylib"),
    ]
)
_UNREADABLE = (EncodeError, OSError, ValueError, RuntimeError, TypeError)


def inline_weights(path: Path, target: Path) -> Path:
    """Writes the model with all its weights inside to `target`, and returns that path.

    A model with its weights inside is copied byte for byte. Only plain files in the model's own
    folder are read. A file at `target` is replaced, and stays as it is if the model is refused.

    Raises:
        ModelRefused: the weights are stored elsewhere, are missing, or are too large for one file.
    """
    model = load_proto(path)
    require_plain(model)
    if next(_outside(model), None) is None:
        shutil.copyfile(path, target)
        return target
    try:
        _require_small(model, path)
        external_data_helper.load_external_data_for_model(model, str(path.parent))
        target.write_bytes(model.SerializeToString(deterministic=True))
    except _UNREADABLE as error:
        raise ModelRefused(
            f"cannot read the weights beside `{path.name}`: {type(error).__name__}; save the model"
            " again with its weights inside"
        ) from error
    return target


def weights_beside(path: Path) -> tuple[str, ...]:
    """The names of the files beside a model that hold its weights, in alphabetical order.

    A file that is called like a model or like code is none of them, whatever the model says.

    Raises:
        ModelRefused: there is no such file, or it is not an ONNX model.
    """
    names = {ExternalDataInfo(tensor).location for tensor in _outside(load_proto(path))}
    return tuple(sorted(name for name in names if Path(name).suffix.lower() not in _MODELS))


def _outside(model: ModelProto) -> Iterator[TensorProto]:
    return (one for one in tensors(model.graph) if one.data_location == TensorProto.EXTERNAL)


def _require_small(model: ModelProto, path: Path) -> None:
    """Tensors may share a file, so the limit is on the sum of what they read."""
    size = sum(_size(tensor, path.parent) for tensor in _outside(model))
    if size > LARGEST_FILE:
        raise ModelRefused(
            f"the weights beside `{path.name}` take {size} bytes, expected {LARGEST_FILE} at most;"
            " only smaller models can be scanned"
        )


def _size(tensor: TensorProto, folder: Path) -> int:
    """The bytes a tensor reads from its file, which must be a plain file directly in the folder."""
    place = ExternalDataInfo(tensor)
    file = folder / place.location
    plain = file.name == place.location and not file.is_symlink() and file.is_file()
    if not plain or file.stat().st_nlink > 1:
        raise ModelRefused(
            f"tensor `{tensor.name}` is stored in {place.location[:60]!r}, expected a plain file"
            " beside the model; copy it there, or save the model again with its weights inside"
        )
    return int(file.stat().st_size if place.length is None else place.length)
