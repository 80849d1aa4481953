"""Reshape to a target known when it runs."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, install, result


class Reshape(nn.Module):
    """Reshapes to the given sizes; 0 copies the size of that axis unless zeros are allowed."""

    def __init__(self, target: list[int] | None, *, copies: bool) -> None:
        super().__init__()
        self._target = target
        self._copies = copies

    def forward(self, x: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        """The elements of x in the target's shape."""
        sizes = self._target if target is None else [int(one) for one in target.tolist()]
        if sizes is None:
            raise ValueError("reshape without a target")
        if self._copies:
            sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
        return x.reshape(sizes)


def convert_reshape(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A reshape that reads a constant target once."""
    copies = node.attributes.get("allowzero", 0) == 0
    target = constant(graph, node, 1)
    if target is None:
        return result(Reshape(None, copies=copies), node)
    sizes = [int(one) for one in target.tolist()]
    return result(Reshape(sizes, copies=copies), node, node.input_values[:1])


def register() -> None:
    """Registers Reshape for all versions whose target is an input."""
    install("Reshape", convert_reshape, since=5)
