"""A model as a caller in Python has it, as an ONNX file or a path that a scan takes."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto
from torch import nn
from torch.utils.data import DataLoader, Dataset

from stages.errors import BanGateError, ModelRefused
from stages.export.registry import MODULES, exporter_of, framework_of
from stages.export.source import Exporter
from stages.twin.parity import prove_export
from stages.twin.settings import ParityConfig
from stages.types import Floats

FILE = "model.onnx"
Model = str | os.PathLike[str] | ModelProto | object
"""A path or URI, an ONNX model, or a live model of torch, Keras, scikit-learn or Flax."""
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_NO_MODELS = (torch.Tensor, DataLoader, Dataset)
Probes = Callable[[tuple[int, ...] | None], Floats]
"""A few images for a model, whose own input shape is given if it states one."""


def name_of(model: Model) -> str:
    """What the model is called in reports."""
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    if isinstance(model, ModelProto):
        return model.graph.name or FILE
    return type(model).__name__


def require_models(models: Sequence[Model]) -> None:
    """Raises unless each is a model, before anything else is looked at.

    Raises:
        ModelRefused: one is none, and why.
    """
    for each in models:
        if not isinstance(each, str | os.PathLike | ModelProto):
            _framework(each)


def written(model: Model, probes: Probes, tolerance: float, folder: Path) -> str:
    """The path or URI as it is; of any other model, an ONNX file in the folder, which is made.

    A live model is exported in float32 and eval mode with a few `probes`, and the file must give
    its scores to the relative `tolerance`. The model itself is left as it is.

    Raises:
        CannotJudge: it cannot be exported, its ONNX gives other scores, or the samples are none.
        ConfigError: a package that its export needs is not installed, or nothing says the size of
            its images.
    """
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    path = folder / FILE
    folder.mkdir(exist_ok=True)
    if isinstance(model, ModelProto):
        onnx.save_model(model, path)
    else:
        _export(model, probes, tolerance, path)
    return str(path)


def _export(model: object, probes: Probes, tolerance: float, path: Path) -> None:
    exporter = exporter_of(_framework(model))
    prepared = exporter.prepare(_ready(model))
    images = probes(exporter.input_shape(prepared))
    scores = np.asarray(_scores(exporter, prepared, images), np.float32)
    exporter.write_onnx(prepared, images, path)
    prove_export(path, images, scores, ParityConfig(tolerance=tolerance))


def _framework(model: object) -> str:
    """The framework of a live model.

    Raises:
        ModelRefused: it is none, and why.
    """
    kind = type(model).__name__
    if isinstance(model, type):
        raise ModelRefused(
            f"`{model.__name__}` is a class, expected a model; call it, as in"
            f" `{model.__name__}(…)`, and load its weights"
        )
    if isinstance(model, dict):
        raise ModelRefused(
            f"a `{kind}` holds weights at most, no network; load them into the module with"
            " `load_state_dict` and give that"
        )
    if not isinstance(model, _NO_MODELS):
        with suppress(ModelRefused):
            return framework_of(model)
    raise ModelRefused(
        f"a `{kind}` is no model; expected a path, a URI, an ONNX model or a model of"
        f" {', '.join(MODULES)}, and the images and labels after it"
    )


def _ready(model: object) -> object:
    """A copy of a torch module, on the CPU and in float32, without what trains it on several
    devices or compiles it; other frameworks' exporters take the model as it is.

    Raises:
        ModelRefused: it cannot be copied.
    """
    if not isinstance(model, nn.Module):
        return model
    inner = model.module if isinstance(model, _PARALLEL) else model
    compiled = getattr(inner, "_orig_mod", None)  # what `torch.compile` was given
    try:
        return copy.deepcopy(inner if compiled is None else compiled).cpu().float()
    except Exception as error:
        raise ModelRefused(
            f"the `{type(model).__name__}` cannot be copied ({_reason(error)}), and a scan leaves"
            " the model as it is; build it anew, load its weights with `load_state_dict` and give"
            " that"
        ) from error


def _scores(exporter: Exporter, prepared: object, images: Floats) -> Floats:
    """The model's scores of the images.

    Raises:
        ModelRefused: it fails on them.
    """
    try:
        return exporter.predict(prepared, images)
    except BanGateError:
        raise
    except Exception as error:
        raise ModelRefused(
            f"the model fails on images of shape {images.shape} ({_reason(error)});"
            f" {_shape_advice(images.shape)}"
        ) from error


def _shape_advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 4 and shape[-1] in (1, 3) and shape[1] not in (1, 3):
        return "put the channels first, with `images.transpose(0, 3, 1, 2)` of an array"
    if len(shape) == 3:
        return "add the axis of channels with `numpy.expand_dims(images, 1)`"
    return "give images of the shape (N, *input shape) that the model takes, float32"


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
