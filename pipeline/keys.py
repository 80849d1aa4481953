"""The key under which a stage's result is remembered: everything that changes it, nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from stages.stage import Stage
from stages.types import CleanSamples, OnnxArtifact, TorchTwin

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def describe_inputs(
    stage: Stage[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Mapping[str, object]:
    """JSON-ready arguments of a call by name: models and samples by digest, the rest by content.

    A device says nothing: it does not change the result.
    """
    call = signature(stage.function).bind(*args, **kwargs)
    call.apply_defaults()
    return {name: _described(value) for name, value in call.arguments.items()}


def key_of(stage: Stage[Parameters, Result], inputs: Mapping[str, object]) -> str:
    """The sha256 of the stage's name, its version, and its described inputs."""
    text = json.dumps([stage.name, stage.version, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _described(value: object) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case OnnxArtifact() | TorchTwin() | CleanSamples():
            return value.digest
        case torch.device():
            return None
        case np.ndarray():
            return _array_digest(value)
        case tuple() | list():
            return [_described(item) for item in value]
        case _ if is_dataclass(value):
            content = {
                field.name: _described(getattr(value, field.name)) for field in fields(value)
            }
            return {"type": type(value).__name__, **content}
    raise TypeError(f"an input of type `{type(value).__name__}` has no description to key it by")


def _array_digest(array: npt.NDArray[np.generic]) -> str:
    state = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
    state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()
