"""Cast and CastLike: another type for the same numbers."""

from __future__ import annotations

import torch
from onnx2torch.node_converters.cast import OnnxCast
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import element_type, install, result
from stages.converters.steps import Indicator, comparison, only_steps_read
from stages.converters.whole_numbers import KINDS, Whole, may_stay_floats


class CastLike(nn.Module):
    """Casts to the type of the second tensor."""

    def forward(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """X in the type of `like`."""
        return x.to(like.dtype)


def convert_cast(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A cast; one of a comparison, or to integers, lets the gradient through if it can.

    Raises:
        NotImplementedError: torch has no such type.
    """
    (source, *_), plain = node.input_values, OnnxCast(node.attributes.get("to"))
    kind, to_integers = plain.torch_dtype, node.attributes.get("to") in KINDS
    floats = kind.is_floating_point or (
        to_integers and may_stay_floats(graph, node.output_values[0])
    )
    compared = comparison(graph, source)
    if compared is not None and floats:
        module = Indicator(compared.operation_type, torch.float32 if to_integers else kind)
        return result(module, node, compared.input_values)
    if not to_integers:
        return result(plain, node)
    whole = element_type(graph, node, 0) in KINDS
    passes = floats and only_steps_read(graph, source)
    return result(Whole(kind, whole=whole, passes=passes), node)


def _convert_like(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(CastLike(), node)


def register() -> None:
    """Registers both for all versions."""
    install("Cast", convert_cast)
    install("CastLike", _convert_like)
