"""Gelu, Clip, Mish and Swish."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, given, install, result


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
    if any(given(node, index) and tensors[index - 1] is None for index in (1, 2)):
        return result(Clip(None, None), node)
    low, high = (
        node.attributes.get(name) if tensor is None else tensor.item()
        for name, tensor in zip(("min", "max"), tensors, strict=True)
    )
    known: dict[tuple[float | int | None, float | int | None], nn.Module] = {
        (None, None): nn.Identity(),
        (0.0, None): nn.ReLU(),
        (0.0, 6.0): nn.ReLU6(),
    }
    return result(known.get((low, high)) or Clip(low, high), node, node.input_values[:1])


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


def register() -> None:
    """Registers the four activations for all versions."""
    install("Clip", convert_clip, since=6)
    install("Gelu", convert_gelu)
    install("Mish", _convert_mish)
    install("Swish", _convert_swish)
