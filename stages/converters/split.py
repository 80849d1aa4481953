"""Split into given or equal parts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, input_name, install, result


class Split(nn.Module):
    """Splits along an axis; without lengths into equal parts, the last of which may be shorter."""

    def __init__(self, axis: int, parts: int, lengths: Sequence[int] | None) -> None:
        super().__init__()
        self._axis = axis
        self._parts = parts
        self._lengths = None if lengths is None else list(lengths)

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """The parts, in order; a single part is a tensor itself."""
        chosen = self._lengths if lengths is None else [int(one) for one in lengths.tolist()]
        longest = -(-x.shape[self._axis] // self._parts)
        parts = torch.split(x, longest if chosen is None else chosen, self._axis)
        return parts if self._parts > 1 else parts[0]  # type: ignore[return-value] # as one output


def convert_split(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A split that reads constant lengths once."""
    axis, lengths = int(node.attributes.get("axis", 0)), constant(graph, node, 1)
    fixed = node.attributes.get("split") if lengths is None else lengths.tolist()
    computed = input_name(node, 1) is not None and lengths is None
    module = Split(axis, len(node.output_values), fixed)
    return result(module, node, node.input_values[: 1 + computed])


def register() -> None:
    """Registers Split for all versions."""
    install("Split", convert_split, since=2)
