"""Expand without copying."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, install, result


class Expand(nn.Module):
    """Broadcasts to the given sizes; an axis of size 1 in the target keeps the input's size."""

    def __init__(self, target: list[int] | None) -> None:
        super().__init__()
        self._target = target

    def forward(self, x: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        """X repeated to the common shape of x and target."""
        sizes = self._target if target is None else [int(one) for one in target.tolist()]
        if sizes is None:
            raise ValueError("expand without a target")
        added = len(sizes) - x.dim()
        own = [1] * added + list(x.shape)
        aligned = [1] * -added + sizes
        pairs = zip(own, aligned, strict=True)
        return x.expand([mine if size == 1 else size for mine, size in pairs])


def convert_expand(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """An expand that reads a constant target once."""
    target = constant(graph, node, 1)
    if target is None:
        return result(Expand(None), node)
    return result(Expand([int(one) for one in target.tolist()]), node, node.input_values[:1])


def register() -> None:
    """Registers Expand for all versions."""
    install("Expand", convert_expand)
