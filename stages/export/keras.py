"""Keras 3: `.keras` and `.h5` files, on TensorFlow or torch.

`keras_backend` chooses one; how each writes ONNX is in `keras_on_<backend>`.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from stages.errors import ConfigError, ModelRefused
from stages.export.keras_backend import PACKAGES, choose_backend
from stages.export.source import Floats, ModelSource

choose_backend()
import keras  # type: ignore[import-untyped] # noqa: E402 # no types; needs its backend chosen

_UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, RuntimeError, NotImplementedError),
    *(AttributeError, ImportError, LookupError, TypeError, ValueError),
)


@contextmanager
def _hushed() -> Iterator[None]:
    """Silences numpy's warning about arrays that Keras makes from torch tensors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


class KerasExporter:
    """Exports models with one input of images and one output (batch, classes)."""

    packages: ClassVar[tuple[str, ...]] = ("keras", *PACKAGES.get(keras.backend.backend(), ()))

    @_hushed()
    def load(self, source: ModelSource) -> object:
        """The model in a file; Keras' safe mode refuses functions stored in it.

        Raises:
            ModelRefused: the file cannot be read, or has layers that are unknown here.
        """
        try:
            return keras.saving.load_model(source.path, compile=False, safe_mode=True)
        except _UNREADABLE as error:
            raise ModelRefused(
                f"Keras cannot load `{source.path.name}`: {_reason(error)}; if it has layers or"
                " functions of your own, name a function that loads it, as FILE.py:FUNCTION"
            ) from error

    def prepare(self, native: object) -> keras.Model:
        """The model, if it maps one float input to scores.

        Raises:
            ConfigError: Keras runs on a backend that cannot write ONNX.
            ModelRefused: it is not a model, or has other inputs and outputs.
        """
        if keras.backend.backend() not in PACKAGES:
            raise ConfigError(
                f"Keras runs on {keras.backend.backend()}, expected {' or '.join(PACKAGES)}; set"
                " `KERAS_BACKEND` to one of them, which load the same files"
            )
        if not isinstance(native, keras.Model):
            raise ModelRefused(
                f"expected a `keras.Model`, found a `{type(native).__name__}`; save the whole"
                " model with `model.save`"
            )
        inputs, outputs = _values(native, "inputs"), _values(native, "outputs")
        described = [_described(value) for value in (*inputs, *outputs)]
        if inputs and (len(described) != 2 or inputs[0].dtype != "float32"):
            raise ModelRefused(
                f"the Keras model has the inputs and outputs {', '.join(described)}, expected one"
                " float32 input and one output (batch, classes); build a model of these two alone"
            )
        return native

    def input_shape(self, model: keras.Model) -> tuple[int, ...] | None:
        """The input's shape without the batch; None if a size is free or the model is not built."""
        sizes = [size for value in _values(model, "inputs") for size in value.shape[1:]]
        return None if None in sizes or not sizes else tuple(sizes)

    @_hushed()
    def predict(self, model: keras.Model, images: Floats) -> Floats:
        """The model's output in inference mode.

        Raises:
            ModelRefused: the images do not fit the model.
        """
        try:
            scores = keras.ops.convert_to_numpy(model(images, training=False))
        except (ValueError, RuntimeError, TypeError) as error:
            raise ModelRefused(
                f"Keras cannot classify images of shape {images.shape}: {_reason(error)}; give"
                " samples of the shape the model takes"
            ) from error
        return np.asarray(scores, np.float32)

    @_hushed()
    def write_onnx(self, model: keras.Model, images: Floats, path: Path) -> None:
        """Writes the model as its backend can; BatchNorm becomes arithmetic or is folded.

        Raises:
            ModelRefused: a layer has no ONNX form.
        """
        backend: Any = import_module(f"stages.export.keras_on_{keras.backend.backend()}")
        backend.write(model, images, path)


def _values(model: keras.Model, side: str) -> list[Any]:
    """The inputs or outputs; empty if they are unknown until the model is called."""
    return list(keras.tree.flatten(getattr(model, side, None) or []))


def _described(value: Any) -> str:
    return f"`{value.name}` {value.dtype} {tuple(value.shape)}"


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


EXPORTER = KerasExporter()
