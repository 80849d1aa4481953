"""Cast and CastLike: another type for the same numbers."""

from __future__ import annotations

import torch
from onnx2torch.node_converters.cast import OnnxCast
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import install, result
from stages.converters.steps import Indicator, comparison


class CastLike(nn.Module):
    """Casts to the type of the second tensor."""

    def forward(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """X in the type of `like`."""
        return x.to(like.dtype)


def convert_cast(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A cast; from a comparison to floats, one that lets the gradient through.

    Raises:
        NotImplementedError: torch has no such type.
    """
    plain = OnnxCast(node.attributes.get("to"))
    compared = comparison(graph, node.input_values[0])
    if compared is not None and plain.torch_dtype.is_floating_point:
        module = Indicator(compared.operation_type, plain.torch_dtype)
        return result(module, node, compared.input_values)
    return result(plain, node)


def _convert_like(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(CastLike(), node)


def register() -> None:
    """Registers both for all versions."""
    install("Cast", convert_cast)
    install("CastLike", _convert_like)
