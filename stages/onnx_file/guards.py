"""Decisions on the input that protect an arithmetic and choose nothing else."""

from __future__ import annotations

from onnx import GraphProto, NodeProto, numpy_helper

from stages.passes.onnx_graph import constants, producers

WHOLE = frozenset(["ReduceMax", "ReduceMin", "ReduceMean"])
"""Operators that say how bright an image is."""
TINY = 1e-3
"""The largest number that stands for nothing in a guard against dividing by it."""


class Guards:
    """What a graph compares and limits numbers with."""

    def __init__(self, graph: GraphProto) -> None:
        self._constants, self._made_by = constants(graph), producers(graph)

    def replaces_nothing(self, node: NodeProto) -> bool:
        """Whether a Where puts a positive constant for a number exactly where that is nothing."""
        if node.op_type != "Where":
            return False
        asked = self._made_by.get(node.input[0])
        if asked is None or asked.op_type not in ("Equal", "Less", "LessOrEqual"):
            return False
        value, limit = asked.input
        small = self._number(limit)
        same = value == node.input[2] and self.positive(node.input[1])
        return same and small is not None and abs(small) <= TINY

    def compares_whole(self, node: NodeProto, images: set[str]) -> bool:
        """Whether the node compares the range or mean of whole images with a constant."""
        if node.op_type not in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
            return False
        made = [self._made_by.get(name) for name in node.input]
        whole = [one for one in made if one is not None and one.op_type in WHOLE]
        known = [name for name in node.input if self._number(name) is not None]
        return len(whole) == len(known) == 1 and whole[0].input[0] in images

    def scales(self, node: NodeProto, images: set[str]) -> bool:
        """Whether the node gives whole images times a positive constant."""
        if node.op_type in ("Identity", "Cast"):
            return node.input[0] in images
        read = [name for name in node.input if name not in images]
        if node.op_type not in ("Mul", "Div") or len(read) != 1 or not self.positive(read[0]):
            return False
        return node.op_type == "Mul" or node.input[0] in images

    def positive(self, name: str) -> bool:
        """Whether the value is a constant above nothing."""
        number = self._number(name)
        return number is not None and number > 0

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
