"""ONNX files whose weights lie beside them, as MLflow writes them, made into one file."""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto, external_data_helper
from onnx.external_data_helper import ExternalDataInfo

from stages.errors import ModelRefused
from stages.inspection import LARGEST_FILE, load_proto, require_plain, tensors

_UNREADABLE = (OSError, ValueError, RuntimeError, TypeError)


def inline_weights(path: Path, target: Path) -> Path:
    """Writes the model with all its weights inside to `target`, and returns that path.

    Only plain files of the model's own folder are read. A file at `target` is replaced, and left
    as it is where the model is refused.

    Raises:
        ModelRefused: the weights lie elsewhere, are missing, or are too large for one file.
    """
    model = load_proto(path)
    require_plain(model)
    files = {
        _file_of(tensor, path.parent) for tensor in tensors(model.graph) if _is_outside(tensor)
    }
    size = sum(one.stat().st_size for one in files)
    if size > LARGEST_FILE:
        raise ModelRefused(
            f"the weights beside `{path.name}` take {size} bytes, expected {LARGEST_FILE} at most"
        )
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
        target.write_bytes(model.SerializeToString())
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return target


def _unreadable(path: Path, error: Exception) -> ModelRefused:
    return ModelRefused(
        f"cannot read the weights beside `{path.name}`: {type(error).__name__}; save the model"
        " again with its weights inside"
    )


def _is_outside(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def _file_of(tensor: TensorProto, folder: Path) -> Path:
    """The file a tensor's values are in: no link, and directly in the folder."""
    location = ExternalDataInfo(tensor).location
    file = folder / location
    plain = Path(location).name == location and not file.is_symlink() and file.is_file()
    if not plain or file.stat().st_nlink > 1:
        raise ModelRefused(
            f"tensor `{tensor.name}` is stored in {location!r}, expected a plain file beside the"
            " model; save the model again with its weights inside"
        )
    return file
