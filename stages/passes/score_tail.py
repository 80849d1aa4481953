"""Follows the scores of a model back through all that keeps their order, to the last real layer.

What people load ends in probabilities, percentages, logarithms or a temperature; an attacker may
end it in anything whose order is that of the scores. A search needs the raw scores of the last real
layer: behind a squashing function margins are tiny and gradients vanish, though no decision of the
model has changed. An operator is looked through where it is one of these:

- a function of one number that only rises, or only falls, the same for every class, where its
  values lie: sigmoid, exp, log, softplus, a clip, c·x + d, 1/x of positive numbers;
- a shift, or a positive factor, that all classes of a sample share: softmax, x − max x, x / ‖x‖;
- a change of shape that keeps the classes in their places;
- a linear layer that does nothing but reorder the classes, with one factor for all.

Source: ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from stages.passes.bounds import Bounds, Interval
from stages.passes.onnx_graph import (
    FLOATS,
    Shape,
    attribute,
    is_float,
    opset,
    producers,
    shape_of,
)

Types = Mapping[str, ValueInfoProto]

NEARLY = 0.05
"""How far a linear layer may be from one that only reorders, as a share of its factor."""
RISING = frozenset(
    [
        *("Identity", "Dropout", "Sigmoid", "Tanh", "Softplus", "Softsign", "Relu", "Exp", "Erf"),
        *("Atan", "Asinh", "Sinh", "Sqrt", "Log", "Floor", "Ceil", "Round", "Sign", "Asin"),
        *("Atanh", "Acosh"),
    ]
)
"""Functions that never fall where they are defined."""
NONNEGATIVE_SLOPE = {"LeakyRelu": 0.01, "Elu": 1.0, "Celu": 1.0, "HardSigmoid": 0.2, "Selu": 1.0}
"""Functions that never fall if their `alpha`, with this default, is not negative."""
FALLING = frozenset(["Neg", "Acos"])
SHAPES = frozenset(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"])
NORMALISED = frozenset(["Softmax", "LogSoftmax", "LpNormalization", "Normalizer", "Hardmax"])
"""Operators that shift or scale all scores of a sample by the same."""
_ORDERED = FLOATS | {TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64}
"""Types to which a cast never turns the order around."""
PAIRS = frozenset(["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"])


@dataclass(frozen=True, kw_only=True)
class Tail:
    """Where the raw scores are: the value `name`, of which `order` gives the column of each class.

    `falls` where larger raw scores give smaller ones, and `peeled` names the operators between,
    from the output back.
    """

    name: str
    order: tuple[int, ...]
    falls: bool = False
    peeled: tuple[str, ...] = ()


def tail_of(model: ModelProto, scores: ValueInfoProto, types: Types) -> Tail:
    """The raw scores behind an output (batch, classes) whose number of classes is known.

    `types` are the inferred types of the model's values by their names.
    """
    return _Walk(model, scores, types).to_the_end()


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What an operator does to the scores it reads from `name`."""

    name: str
    falls: bool = False
    order: tuple[int, ...] | None = None


class _Walk:
    """One walk from an output back."""

    def __init__(self, model: ModelProto, scores: ValueInfoProto, types: Types) -> None:
        self.output = scores.name
        self.shape = shape_of(scores) or ()
        self.classes = class_count(scores) or 0
        self.version = opset(model)
        self.made_by = producers(model.graph)
        self.types = types
        self.bounds = Bounds(model.graph)

    def to_the_end(self) -> Tail:
        """The tail, as far back as every operator keeps the order."""
        tail = found = Tail(name=self.output, order=tuple(range(self.classes)))
        while (node := self.made_by.get(tail.name)) is not None:
            step = self._step(node)
            if step is None or step.name not in self.made_by:
                break
            if node.op_type in SHAPES:
                self.shape = self._shape(step.name)
            columns = step.order or range(self.classes)
            tail = replace(
                tail,
                name=step.name,
                order=tuple(columns[place] for place in tail.order),
                falls=tail.falls != step.falls,
                peeled=(*tail.peeled, f"{node.op_type} `{node.name or node.output[0]}`"),
            )
            if self._is_usable(tail.name):
                found = tail
        return found

    def _is_usable(self, name: str) -> bool:
        """Whether a value can be the raw scores: floats of some precision."""
        value = self.types.get(name)
        return value is not None and is_float(value)

    def _shape(self, name: str) -> Shape:
        """The shape of a value, () where it is not known."""
        value = self.types.get(name)
        return (shape_of(value) if value is not None else None) or ()

    def _step(self, node: NodeProto) -> _Step | None:
        """What the node does, if it keeps the order."""
        read = [name for name in node.input if name]
        if node.op_type in PAIRS and len(read) == 2:
            return self._pair(node)
        if node.op_type in ("Gemm", "MatMul"):
            return self._reordering(node)
        falls = self._falls(node, read) if read else None
        return None if falls is None else _Step(name=read[0], falls=falls)

    def _falls(self, node: NodeProto, read: list[str]) -> bool | None:
        """Whether larger inputs give smaller outputs; None where the node keeps no order."""
        rising = (
            node.op_type in RISING
            or (node.op_type == "Cast" and attribute(node, "to", 0) in _ORDERED)
            or (node.op_type in SHAPES and self._keeps_places(node))
            or (node.op_type in NORMALISED and self._over_classes(node))
            or (node.op_type == "Clip" and all(map(self._is_scalar, read[1:])))
            or self._has_rising_slope(node)
        )
        if rising or node.op_type in FALLING:
            return not rising
        low, high = self.bounds.of(read[0])
        if node.op_type not in ("Reciprocal", "Abs") or low < 0 < high:
            return None
        return node.op_type == "Reciprocal" or high <= 0

    def _has_rising_slope(self, node: NodeProto) -> bool:
        """Whether the node is an activation with a slope, which is not negative."""
        if node.op_type == "PRelu":
            return self.bounds.of(node.input[1])[0] >= 0 and self._is_scalar(node.input[1])
        if node.op_type not in NONNEGATIVE_SLOPE:
            return False
        slopes = [one.f for one in node.attribute if one.name in ("alpha", "gamma")]
        return all(slope >= 0 for slope in slopes)

    def _keeps_places(self, node: NodeProto) -> bool:
        """Whether the classes stay in their places: only sizes of one come, go or move."""
        shape = self._shape(node.input[0])
        if _per_sample(shape) != self.classes:
            return False
        if node.op_type != "Transpose":
            return True
        moved = next((tuple(one.ints) for one in node.attribute if one.name == "perm"), (1,))
        wide = [axis for axis in moved if axis == 0 or shape[axis] != 1]
        return moved[0] == 0 and wide == sorted(wide)

    def _over_classes(self, node: NodeProto) -> bool:
        """Whether the node normalises over the classes, and nothing else."""
        if node.op_type == "Normalizer":
            return True
        last = self.version >= 13 or node.op_type == "LpNormalization"
        axis = attribute(node, "axis", -1 if last else 1) % len(self.shape)
        beyond = set() if last else set(self.shape[axis + 1 :])
        return axis > 0 and self.shape[axis] == self.classes and beyond <= {1}

    def _is_scalar(self, name: str) -> bool:
        """Whether a value is one number, the same for every class."""
        known = self.bounds.constant(name)
        return known is not None and known.size > 0 and float(np.ptp(known)) == 0

    def _is_shared(self, name: str) -> bool:
        """Whether all classes of a sample share the value."""
        if self.bounds.constant(name) is not None:
            return self._is_scalar(name)
        return _per_sample(self._shape(name)) == 1

    def _pair(self, node: NodeProto) -> _Step | None:
        """An operator of two values, of which one is shared by all classes of a sample."""
        for place, (scores, shared) in enumerate((node.input[:2], node.input[1::-1])):
            if self._is_shared(shared) and not self._is_shared(scores):
                bounds = self.bounds.of(scores), self.bounds.of(shared)
                rises = _PAIRS[node.op_type](*bounds, place == 0)
                return None if rises is None else _Step(name=scores, falls=not rises)
        return None

    def _reordering(self, node: NodeProto) -> _Step | None:
        """A linear layer that gives each class one of its inputs, times a factor of them all."""
        weight = self.bounds.constant(node.input[1])
        if weight is None or weight.shape != (self.classes, self.classes):
            return None
        if attribute(node, "transB", 0):
            weight = weight.T
        order, factor = reordering(weight)
        bias = self.bounds.constant(node.input[2]) if len(node.input) > 2 else np.zeros(1)
        if not order or bias is None or attribute(node, "transA", 0):
            return None
        low, high = self.bounds.of(node.input[0])
        reach = min(high - low, 1.0) * abs(factor)
        if float(np.ptp(bias)) > NEARLY * reach:
            return None
        alpha = next((one.f for one in node.attribute if one.name == "alpha"), 1.0)
        return _Step(name=node.input[0], falls=factor * alpha < 0, order=order)


def _per_sample(shape: Shape) -> int | None:
    """How many numbers of each sample a value of that shape has; None where that is not known."""
    if not shape or None in shape[1:]:
        return None
    return math.prod(size for size in shape[1:] if size is not None)


def class_count(value: ValueInfoProto) -> int | None:
    """The classes of scores (batch, classes), or the same with sizes of one; None for others."""
    shape = shape_of(value) or ()
    sizes = [size for size in shape[1:] if size != 1]
    return sizes[0] if len(shape) >= 2 and len(sizes) == 1 else None


def reordering(
    weight: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> tuple[tuple[int, ...], float]:
    """Which input each output of a matrix (inputs, outputs) is, and the factor of them all.

    What an input adds to every output alike is taken out first: it moves no decision. No outputs
    where the matrix is not nearly such an order.
    """
    own = weight - np.median(weight, axis=1, keepdims=True)
    order = np.abs(own).argmax(axis=0)
    factors = own[order, np.arange(own.shape[1])]
    factor = float(np.median(factors))
    if len(set(order.tolist())) != len(order) or factor == 0:
        return (), 0.0
    rest = own.copy()
    rest[order, np.arange(own.shape[1])] -= factor
    near = float(np.abs(rest).sum(axis=0).max()) <= NEARLY * abs(factor)
    return (tuple(order.tolist()), factor) if near else ((), 0.0)


def _added(_scores: Interval, _shared: Interval, _first: bool) -> bool | None:
    return True


def _subtracted(_scores: Interval, _shared: Interval, first: bool) -> bool | None:
    return first


def _multiplied(_scores: Interval, shared: Interval, _first: bool) -> bool | None:
    low, high = shared
    if low < 0 < high or low == high == 0:
        return None
    return low >= 0


def _divided(scores: Interval, shared: Interval, first: bool) -> bool | None:
    """x / s rises where s is positive; s / x falls where neither changes its sign and s > 0."""
    if first:
        return _multiplied(scores, shared, first)
    low, high = scores
    above = _multiplied(scores, shared, first)
    return None if above is None or (low < 0 < high) else not above


def _power(scores: Interval, shared: Interval, first: bool) -> bool | None:
    low, high = shared
    if low != high:
        return None
    if not first:
        return low > 1 if low > 0 else None
    odd = low % 2 == 1
    return (low > 0) if scores[0] >= 0 or (odd and low > 0) else None


_PAIRS: dict[str, Callable[[Interval, Interval, bool], bool | None]] = {
    "Add": _added,
    "Max": _added,
    "Min": _added,
    "Sub": _subtracted,
    "Mul": _multiplied,
    "Div": _divided,
    "Pow": _power,
}
