"""MatMul with a constant matrix on the right as a linear layer."""

from __future__ import annotations

import torch
from onnx2torch.node_converters.matmul import OnnxMatMul
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, install, result


def convert_matmul(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """An `nn.Linear` without bias where the right side is a matrix in the file, else a product."""
    right = constant(graph, node, 1)
    if right is None or right.dim() != 2 or not right.is_floating_point():
        return result(OnnxMatMul(), node)
    return result(linear(right), node, node.input_values[:1])


def linear(matrix: torch.Tensor) -> nn.Linear:
    """The layer without bias that multiplies by a matrix (inputs, outputs)."""
    module = nn.Linear(matrix.shape[0], matrix.shape[1], bias=False, device="meta")
    module.weight = nn.Parameter(matrix.T.contiguous())
    return module


def register() -> None:
    """Registers MatMul for all versions."""
    install("MatMul", convert_matmul)
