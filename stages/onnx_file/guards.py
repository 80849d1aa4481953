"""Decisions on the input that protect an arithmetic and choose nothing else."""

from __future__ import annotations

from onnx import GraphProto, NodeProto, numpy_helper

from stages.passes.onnx_graph import constants

TINY = 1e-3
"""The largest number that stands for nothing in a guard against dividing by it."""


class Guards:
    """What a graph compares and limits numbers with."""

    def __init__(self, graph: GraphProto) -> None:
        self._constants = constants(graph)

    def limits(self, node: NodeProto) -> bool:
        """Whether the node keeps a number from becoming nothing: a lower limit that is tiny."""
        if node.op_type == "Max":
            return any(self._tiny(name) for name in node.input)
        bounds = [name for name in node.input[1:] if name]
        lower = len(node.input) > 1 and node.input[1] in bounds and len(bounds) == 1
        return node.op_type == "Clip" and lower and self._tiny(node.input[1])

    def _tiny(self, name: str) -> bool:
        number = self._number(name)
        return number is not None and 0 < number <= TINY

    def _number(self, name: str) -> float | None:
        """A constant of one entry."""
        tensor = self._constants.get(name)
        value = None if tensor is None else numpy_helper.to_array(tensor)
        return float(value.ravel()[0]) if value is not None and value.size == 1 else None
