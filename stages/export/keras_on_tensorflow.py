"""Keras on TensorFlow: a function around the model goes through tf2onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf  # type: ignore[import-untyped] # has no types

from stages.export.source import Floats
from stages.export.tf_function import write_function


def write(model: Any, images: Floats, path: Path) -> None:
    """Writes a Keras model as ONNX; sizes the model leaves free stay free.

    Raises:
        ModelRefused: a layer has no ONNX form.
    """
    inputs = getattr(model, "inputs", None)
    shape = inputs[0].shape[1:] if inputs else images.shape[1:]
    signature = [tf.TensorSpec((None, *shape), tf.float32, name="input")]
    write_function(
        tf.function(lambda batch: model(batch, training=False), input_signature=signature), path
    )
