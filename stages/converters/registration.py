"""How a converter enters onnx2torch's registry, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import cast

import torch
from onnx import defs
from onnx2torch.node_converters import registry
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OnnxMapping, OperationConverterResult
from torch import nn

Converter = Callable[[OnnxNode, OnnxGraph], OperationConverterResult]


@cache
def versions(operator: str) -> tuple[int, ...]:
    """All versions of a default-domain operator that onnx knows, in ascending order."""
    descending: list[int] = []
    newest = defs.onnx_opset_version()
    while newest > 0 and defs.has(operator, newest):
        descending.append(defs.get_schema(operator, newest).since_version)
        newest = descending[-1] - 1
    return tuple(reversed(descending))


def install(operator: str, converter: Converter, since: int = 1) -> None:
    """Registers the converter for all versions of the operator from `since` on."""
    for version in versions(operator):
        if version >= since:
            registry._CONVERTER_REGISTRY[_key(operator, version)] = converter


def alias(operator: str) -> None:
    """Lets versions without a converter use that of the nearest older version, else a newer one."""
    converters = registry._CONVERTER_REGISTRY
    have = [version for version in versions(operator) if _key(operator, version) in converters]
    for version in versions(operator):
        older = [one for one in have if one <= version]
        nearest = max(older) if older else min(have)
        converters.setdefault(_key(operator, version), converters[_key(operator, nearest)])


def _key(operator: str, version: int) -> registry.OperationDescription:
    return registry.OperationDescription(domain="", operation_type=operator, version=version)


def result(
    module: nn.Module, node: OnnxNode, inputs: Sequence[str] | None = None
) -> OperationConverterResult:
    """The module for a node; it is called with the values named in `inputs`, by default all."""
    names = tuple(node.input_values if inputs is None else inputs)
    return OperationConverterResult(module, OnnxMapping(inputs=names, outputs=node.output_values))


def constant(graph: OnnxGraph, node: OnnxNode, index: int) -> torch.Tensor | None:
    """The node's input of that index if it is an initializer, else None."""
    name = input_name(node, index)
    if name is None or name not in graph.initializers:
        return None
    return cast(torch.Tensor, graph.initializers[name].to_torch())


def input_name(node: OnnxNode, index: int) -> str | None:
    """Name of the node's input of that index; None where the optional input is left out."""
    names = node.input_values
    return names[index] if index < len(names) and names[index] != "" else None


def element_type(graph: OnnxGraph, node: OnnxNode, index: int) -> int:
    """The ONNX element type of the node's input of that index; 0 if it is unknown."""
    name = input_name(node, index)
    if name is None:
        return 0
    if name in graph.initializers:
        return int(graph.initializers[name].proto.data_type)
    value = graph.value_info.get(name)
    return 0 if value is None else int(value.type.tensor_type.elem_type)
