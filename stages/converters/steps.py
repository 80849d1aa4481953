"""Steps that the gradient passes straight through: Ceil, Floor, Sign and thresholds.

A step has no slope, and no trigger could be found by gradient through one. So the values are exact,
and the gradient is that of the number before the step, at any distance from it, as the scale of an
input is not known. Where that number is read elsewhere as well, as in x · sign(x), the gradient
comes that way and the step stays flat.

Source: Bengio, Léonard and Courville 2013, arXiv 1308.3432, the straight-through estimator.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from onnx import TensorProto
from onnx2torch.node_converters.comparisons import OnnxCompare
from onnx2torch.node_converters.where import OnnxWhere
from onnx2torch.onnx_graph import OnnxGraph, ValueType
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, install, result

RISING = frozenset(["Greater", "GreaterOrEqual"])
"""Comparisons that become true as the first number grows."""
COMPARISONS = RISING | {"Less", "LessOrEqual"}
_REALS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_FLAT = COMPARISONS | {"Ceil", "Equal", "Floor", "Round", "Shape", "Sign", "Size"}
_FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Ceil": torch.ceil,
    "Floor": torch.floor,
    "Sign": torch.sign,
}


def passing(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The values, of a float type, with the gradient that `like`, of the same shape, has."""
    if not like.requires_grad:
        return values
    return values + (like - like.detach()).nan_to_num(0).to(values.dtype)


def only_steps_read(graph: OnnxGraph, name: str) -> bool:
    """Whether a value goes into steps alone, so that it would get no gradient without theirs."""
    readers = [node for node in graph.nodes.values() if name in node.input_values]
    return name not in graph.output_values and all(_is_flat(node) for node in readers)


def _is_flat(node: OnnxNode) -> bool:
    if node.operation_type == "Cast":
        return node.attributes.get("to") not in _REALS
    return node.operation_type in _FLAT


class Step(nn.Module):
    """Ceil, Floor or Sign, with or without the gradient of the number."""

    def __init__(self, operator: str, *, passes: bool) -> None:
        super().__init__()
        self._function = _FUNCTIONS[operator]
        self._passes = passes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The step, element by element."""
        values = self._function(x.detach())
        return passing(values, x) if self._passes else values


class Indicator(nn.Module):
    """One where a comparison of two numbers is true and zero elsewhere.

    The gradient is that of the first number minus the second for Greater, and its negative for
    Less. Whole numbers carry none.
    """

    def __init__(self, operator: str, kind: torch.dtype) -> None:
        super().__init__()
        self._compare = OnnxCompare(operator)
        self._rising = operator in RISING
        self._kind = kind

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The indicator, in the shape that both broadcast to."""
        values: torch.Tensor = self._compare(x, y).to(self._kind)
        if not (x.requires_grad or y.requires_grad):
            return values
        return passing(values, x - y if self._rising else y - x)


class Choice(nn.Module):
    """One number where a comparison is true and another elsewhere, with the gradient of both."""

    def __init__(self, operator: str) -> None:
        super().__init__()
        self._indicator = Indicator(operator, torch.float32)

    def forward(
        self, x: torch.Tensor, y: torch.Tensor, true: torch.Tensor, false: torch.Tensor
    ) -> torch.Tensor:
        """The numbers, in the shape that all broadcast to."""
        indicator = self._indicator(x, y)
        values = torch.where(indicator.detach() > 0, true, false)
        return passing(values, indicator * (true - false))


def comparison(graph: OnnxGraph, name: str) -> OnnxNode | None:
    """The comparison that gives the truth value, if the gradient must go through it."""
    if graph.value_type(name) is not ValueType.NODE_OUTPUT:
        return None
    node, _ = graph.value_as_node_output(name)
    if node.operation_type not in COMPARISONS:
        return None
    computed = [one for one in node.input_values if one not in graph.initializers]
    return node if all(only_steps_read(graph, one) for one in computed) else None


def _convert_step(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    passes = only_steps_read(graph, node.input_values[0])
    return result(Step(node.operation_type, passes=passes), node)


def convert_choice(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A choice; between two finite constants of floats, one that lets the gradient through."""
    compared = comparison(graph, node.input_values[0])
    branches = [constant(graph, node, index) for index in (1, 2)]
    if compared is None or not all(one is not None and _is_real(one) for one in branches):
        return result(OnnxWhere(), node)
    names = [*compared.input_values, *node.input_values[1:]]
    return result(Choice(compared.operation_type), node, names)


def _is_real(numbers: torch.Tensor) -> bool:
    return numbers.is_floating_point() and bool(numbers.isfinite().all())


def register() -> None:
    """Registers the three and Where for all versions; a Cast reads the comparisons as well."""
    for operator in _FUNCTIONS:
        install(operator, _convert_step)
    install("Where", convert_choice)
