"""The cache key of a stage's result: everything that can change it, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, fields, is_dataclass
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from stages.later import torch
from stages.stage import Stage
from stages.types import AFFECTS_RESULT, TWIN_VERSION, CleanSamples, OnnxArtifact, TorchTwin

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def describe_inputs(
    stage: Stage[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Mapping[str, object]:
    """JSON-ready arguments of a call by name: models and samples by digest, the rest by content.

    A device counts as None, because it does not change the result.
    """
    call = signature(stage.function).bind(*args, **kwargs)
    call.apply_defaults()
    return {name: _described(value) for name, value in call.arguments.items()}


def key_of(stage: Stage[Parameters, Result], inputs: Mapping[str, object]) -> str:
    """The sha256 of the stage's name, its version, and its described inputs."""
    text = json.dumps([stage.name, stage.version, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def described_fields(value: Any) -> dict[str, object]:
    """The fields of a dataclass that can change a result, by name, JSON-ready."""
    return {
        field.name: _described(getattr(value, field.name))
        for field in fields(value)
        if field.metadata.get(AFFECTS_RESULT, True)
    }


def _described(value: object) -> object:
    described: object
    match value:
        case None | bool() | int() | float() | str():
            described = value
        case OnnxArtifact() | CleanSamples():
            described = value.digest
        case TorchTwin():
            described = [value.digest, TWIN_VERSION, *astuple(value.arithmetic)]
        case torch.device():
            described = None
        case np.ndarray():
            described = _array_digest(value)
        case tuple() | list():
            described = [_described(item) for item in value]
        case Mapping():
            described = {str(name): _described(item) for name, item in value.items()}
        case _ if is_dataclass(value):
            described = {"type": type(value).__name__, **described_fields(value)}
        case _:
            kind = type(value).__name__
            raise TypeError(f"an input of type `{kind}` has no description to key it by")
    return described


def _array_digest(array: npt.NDArray[np.generic]) -> str:
    state = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
    state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()
