"""A model as a caller in Python has it, as an ONNX file or a path that a scan takes."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto
from torch import nn

from stages.export.registry import exporter_of, framework_of
from stages.twin.parity import prove_export
from stages.twin.settings import ParityConfig
from stages.types import Floats

FILE = "model.onnx"
Model = str | Path | ModelProto | object
"""A path or URI, an ONNX model, or a live model of torch, Keras, scikit-learn or Flax."""


def name_of(model: Model) -> str:
    """What the model is called in reports."""
    if isinstance(model, str | Path):
        return str(model)
    if isinstance(model, ModelProto):
        return model.graph.name or FILE
    return type(model).__name__


def written(model: Model, images: Floats, tolerance: float, folder: Path) -> str:
    """The path or URI as it is; of any other model, an ONNX file in the folder.

    A live model is exported with its first `images` (N, *input shape), in eval mode, and the file
    must give its scores to the relative `tolerance`. The model itself is left as it is.

    Raises:
        CannotJudge: it cannot be exported, or its ONNX gives other scores.
        ConfigError: a package that its export needs is not installed.
    """
    if isinstance(model, str | Path):
        return str(model)
    path = folder / FILE
    if isinstance(model, ModelProto):
        onnx.save_model(model, path)
        return str(path)
    exporter = exporter_of(framework_of(model))
    prepared = exporter.prepare(_on_the_cpu(model))
    scores = np.asarray(exporter.predict(prepared, images), np.float32)
    exporter.write_onnx(prepared, images, path)
    prove_export(path, images, scores, ParityConfig(tolerance=tolerance))
    return str(path)


def _on_the_cpu(model: object) -> object:
    """A copy of a torch module there; other frameworks' exporters take the model as it is."""
    return copy.deepcopy(model).cpu() if isinstance(model, nn.Module) else model
