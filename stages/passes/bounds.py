"""Between which numbers a value of the graph lies, as far as its operators alone say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from stages.passes.onnx_graph import attribute, constants, producers

Interval = tuple[float, float]

ANYTHING: Interval = (-math.inf, math.inf)
_POSITIVE: Interval = (0.0, math.inf)
_DEEPEST = 40
"""How many operators are looked through."""
_SAME = frozenset(
    [
        *("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand"),
        *("ReduceMax", "ReduceMin", "ReduceMean", "MaxPool", "AveragePool", "GlobalAveragePool"),
        *("Gather", "Slice", "Concat", "Mean", "Dropout"),
    ]
)
"""Operators whose result lies between the smallest and the largest of what they read."""
_RANGES: dict[str, Interval] = {
    "Exp": _POSITIVE,
    "Softmax": (0.0, 1.0),
    "Sigmoid": (0.0, 1.0),
    "HardSigmoid": (0.0, 1.0),
    "LogSoftmax": (-math.inf, 0.0),
    "Relu": _POSITIVE,
    "Abs": _POSITIVE,
    "Softplus": _POSITIVE,
    "Sqrt": _POSITIVE,
    "ReduceL1": _POSITIVE,
    "ReduceL2": _POSITIVE,
    "ReduceSumSquare": _POSITIVE,
    "Tanh": (-1.0, 1.0),
    "Hardmax": (0.0, 1.0),
    **dict.fromkeys(("Not", "And", "Or", "Xor", "Equal", "IsNaN", "IsInf"), (0.0, 1.0)),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), (0.0, 1.0)),
}


class Bounds:
    """Looks up the interval of any value of one graph."""

    def __init__(self, graph: GraphProto) -> None:
        self._made_by = producers(graph)
        self._constants = constants(graph)

    def constant(self, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
        """The numbers of a constant, in float64; None for any other value."""
        tensor = self._constants.get(name)
        if tensor is not None:
            return numpy_helper.to_array(tensor).astype(np.float64)
        node = self._made_by.get(name)
        if node is None or node.op_type not in ("Identity", "Cast", "Unsqueeze", "Reshape"):
            return None
        return self.constant(node.input[0])

    def of(self, name: str, depth: int = _DEEPEST) -> Interval:
        """The interval [low, high] in which every number of a value lies."""
        known = self.constant(name)
        if known is not None and known.size:
            return float(known.min()), float(known.max())
        node = self._made_by.get(name)
        if node is None or depth == 0:
            return ANYTHING
        if node.op_type in _RANGES:
            return _RANGES[node.op_type]
        if node.op_type == "Cast" and attribute(node, "to", 0) == TensorProto.BOOL:
            return 0.0, 1.0
        read = [self.of(one, depth - 1) for one in _read(node)]
        rule = _RULES.get(node.op_type)
        return ANYTHING if rule is None or not read else rule(node, read)


def _read(node: NodeProto) -> list[str]:
    """The inputs that decide the range: for most operators that move data around, the first."""
    several = node.op_type in ("Concat", "Max", "Min", "Mean", "Sum")
    pair = node.op_type in ("Add", "Sub", "Mul", "Div", "Pow", "Clip")
    names = list(node.input) if several or pair else list(node.input)[:1]
    return [name for name in names if name]


def _hull(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    return min(low for low, _ in read), max(high for _, high in read)


def _larger(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    return max(low for low, _ in read), max(high for _, high in read)


def _smaller(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    return min(low for low, _ in read), min(high for _, high in read)


def _sum(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    return sum(low for low, _ in read), sum(high for _, high in read)


def _difference(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    (low, high), (less, most) = read
    return low - most, high - less


def _product(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    (low, high), (less, most) = read
    ends = [0.0 if 0.0 in (a, b) else a * b for a in (low, high) for b in (less, most)]
    return min(ends), max(ends)


def _quotient(node: NodeProto, read: Sequence[Interval]) -> Interval:
    above, (less, most) = read
    if less < 0 or most == 0:
        return ANYTHING
    return _product(node, (above, (1 / most, math.inf if less == 0 else 1 / less)))


def _reciprocal(node: NodeProto, read: Sequence[Interval]) -> Interval:
    return _quotient(node, [(1.0, 1.0), *read])


def _total(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    ((low, high),) = read
    return 0.0 if low >= 0 else -math.inf, 0.0 if high <= 0 else math.inf


def _power(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    exponent, most = read[1]
    even = exponent == most and exponent % 2 == 0
    return _POSITIVE if even or read[0][0] >= 0 else ANYTHING


def _clipped(node: NodeProto, read: Sequence[Interval]) -> Interval:
    low, high = read[0]
    if len(node.input) == len(read) == 3:
        return max(low, read[1][0]), min(high, read[2][1])
    if len(read) == 2 and node.input[1]:
        return max(low, read[1][0]), high
    given = {one.name: one.f for one in node.attribute}
    return max(low, given.get("min", low)), min(high, given.get("max", high))


def _negative(_node: NodeProto, read: Sequence[Interval]) -> Interval:
    ((low, high),) = read
    return -high, -low


_RULES: dict[str, Callable[[NodeProto, Sequence[Interval]], Interval]] = {
    **dict.fromkeys(_SAME, _hull),
    "Add": _sum,
    "Sum": _sum,
    "Sub": _difference,
    "Mul": _product,
    "Div": _quotient,
    "Reciprocal": _reciprocal,
    "ReduceSum": _total,
    "Pow": _power,
    "Clip": _clipped,
    "Neg": _negative,
    "Max": _larger,
    "Min": _smaller,
}
