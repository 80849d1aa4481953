"""Whole numbers that carry a gradient: computed as integers, kept as floats.

A tensor of integers has no gradient. So a cast to integers gives float32 where all that follows can
read floats, until another cast, a comparison or a dequantisation; elsewhere, such as for indices
and shapes, it gives integers. Values are exact up to 2²⁴; the gradient is that of the same
arithmetic on real numbers.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from onnx import TensorProto
from onnx2torch.node_converters.binary_math_operations import OnnxBinaryMathOperation
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import element_type, install, result
from stages.converters.steps import COMPARISONS, passing

KINDS: dict[int, torch.dtype] = {
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
}
"""The integer types that torch computes with."""
_ARITHMETIC = ("Add", "Div", "Mul", "Sub")
_ANYWHERE = COMPARISONS | {"Concat", "Equal", "Max", "Min", *_ARITHMETIC}
_FIRST = {
    *("Cast", "CastLike", "Clip", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad"),
    *("Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    *("ConvInteger", "DequantizeLinear", "MatMulInteger"),
}
"""Operators whose first input may be whole numbers kept as floats."""
_ENDS = COMPARISONS | {"Cast", "CastLike", "ConvInteger", "DequantizeLinear", "Equal"}
_ENDS |= {"MatMulInteger"}


class Whole(nn.Module):
    """Casts to an integer type, and keeps the result as floats with a gradient if it `passes`.

    Numbers that are `whole` already wrap around, as integers do.
    """

    def __init__(self, kind: torch.dtype, *, whole: bool, passes: bool) -> None:
        super().__init__()
        self._kind = kind
        self._whole = whole
        self._passes = passes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """X cut off towards zero; integers stay integers."""
        if not x.is_floating_point():
            return x.to(self._kind)
        values = (x.detach().long() if self._whole else x.detach()).to(self._kind)
        return passing(values.float(), x) if self._passes else values


class WholeArithmetic(nn.Module):
    """A sum, difference, product or quotient of integers; any of them may be kept as floats."""

    def __init__(self, operation: OnnxBinaryMathOperation, kind: torch.dtype) -> None:
        super().__init__()
        self._operation = operation
        self._kind = kind

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The result, which wraps around; a quotient is cut off towards zero."""
        kept = first.is_floating_point() or second.is_floating_point()
        integers: torch.Tensor = self._operation(
            first.detach().to(self._kind), second.detach().to(self._kind)
        )
        if not kept:
            return integers
        return passing(integers.float(), self._operation(first.float(), second.float()))


def may_stay_floats(graph: OnnxGraph, name: str) -> bool:
    """Whether all that follows from a value of integers can read it as floats."""
    readers = defaultdict(list)
    for node in graph.nodes.values():
        for value in node.input_values:
            readers[value].append(node)
    waiting, seen = [name], set()
    while waiting:
        value = waiting.pop()
        if value in graph.output_values or not all(_reads(graph, n, value) for n in readers[value]):
            return False
        seen.add(value)
        following = (node for node in readers[value] if node.operation_type not in _ENDS)
        waiting += [one for node in following for one in node.output_values if one not in seen]
    return True


def _reads(graph: OnnxGraph, node: OnnxNode, name: str) -> bool:
    """Whether the node computes the same if the value comes as floats."""
    places = {index for index, value in enumerate(node.input_values) if value == name}
    if node.operation_type in _ARITHMETIC:
        return element_type(graph, node, 0) in KINDS
    if node.operation_type == "Where":
        return 0 not in places
    return node.operation_type in _ANYWHERE or (node.operation_type in _FIRST and places == {0})


def convert_arithmetic(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """The operation on floats, or on integers that may be kept as floats."""
    attributes = node.attributes
    operation = OnnxBinaryMathOperation(
        node.operation_type, attributes.get("broadcast"), attributes.get("axis")
    )
    kind = KINDS.get(element_type(graph, node, 0))
    return result(operation if kind is None else WholeArithmetic(operation, kind), node)


def register() -> None:
    """Registers the four operations for all versions; a Cast reads the rest."""
    for operator in _ARITHMETIC:
        install(operator, convert_arithmetic)
