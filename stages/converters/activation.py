"""Activations, and the hyperbolic functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, input_name, install, result


class Clip(nn.Module):
    """Limits values to bounds, known or computed; an absent bound does not limit."""

    def __init__(self, low: float | int | None, high: float | int | None) -> None:
        super().__init__()
        self._low = low
        self._high = high

    def forward(
        self, x: torch.Tensor, low: torch.Tensor | None = None, high: torch.Tensor | None = None
    ) -> torch.Tensor:
        """X within the bounds; where they cross, the upper one wins."""
        low_bound = self._low if low is None else low
        high_bound = self._high if high is None else high
        if low_bound is not None:
            x = x.clamp(min=low_bound)
        return x if high_bound is None else x.clamp(max=high_bound)


def convert_clip(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """ReLU or ReLU6 for their bounds, else a clip; if one bound is computed, both are inputs."""
    tensors = [constant(graph, node, index) for index in (1, 2)]
    if any(input_name(node, index) and tensors[index - 1] is None for index in (1, 2)):
        return result(Clip(None, None), node)
    low, high = (
        node.attributes.get(name) if tensor is None else tensor.item()
        for name, tensor in zip(("min", "max"), tensors, strict=True)
    )
    plain: dict[tuple[float | int | None, float | int | None], nn.Module] = {
        (None, None): nn.Identity(),
        (0.0, None): nn.ReLU(),
        (0.0, 6.0): nn.ReLU6(),
    }
    return result(plain.get((low, high)) or Clip(low, high), node, node.input_values[:1])


def convert_gelu(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """`nn.GELU`, exact or by tanh."""
    del graph
    return result(nn.GELU(approximate=node.attributes.get("approximate", "none")), node)


def _convert_mish(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(nn.Mish(), node)


class Swish(nn.Module):
    """x times the sigmoid of alpha·x."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self._alpha = alpha

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The activation, element by element."""
        return x * torch.sigmoid(self._alpha * x)


def _convert_swish(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(Swish(float(node.attributes.get("alpha", 1.0))), node)


class ThresholdedRelu(nn.Module):
    """Values above a threshold; others become zero."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The activation, element by element."""
        return torch.where(x > self._threshold, x, torch.zeros_like(x))


def _convert_thresholded_relu(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(ThresholdedRelu(float(node.attributes.get("alpha", 1.0))), node)


class Shrink(nn.Module):
    """Moves values beyond a limit towards zero; others become zero."""

    def __init__(self, limit: float, bias: float) -> None:
        super().__init__()
        self._limit = limit
        self._bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The activation, element by element."""
        moved = torch.where(x > self._limit, x - self._bias, torch.zeros_like(x))
        return torch.where(x < -self._limit, x + self._bias, moved)


def _convert_shrink(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    limit, bias = node.attributes.get("lambd", 0.5), node.attributes.get("bias", 0.0)
    return result(Shrink(float(limit), float(bias)), node)


_FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Acosh": torch.acosh,
    "Asinh": torch.asinh,
    "Atanh": torch.atanh,
    "Cosh": torch.cosh,
    "Sinh": torch.sinh,
}


class Hyperbolic(nn.Module):
    """A hyperbolic function or its inverse."""

    def __init__(self, operator: str) -> None:
        super().__init__()
        self._function = _FUNCTIONS[operator]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The function, element by element."""
        return self._function(x)


def _convert_hyperbolic(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(Hyperbolic(node.operation_type), node)


def register() -> None:
    """Registers them for all versions."""
    install("Clip", convert_clip, since=6)
    install("Gelu", convert_gelu)
    install("Mish", _convert_mish)
    install("Swish", _convert_swish)
    install("ThresholdedRelu", _convert_thresholded_relu)
    install("Shrink", _convert_shrink)
    for operator in _FUNCTIONS:
        install(operator, _convert_hyperbolic)
