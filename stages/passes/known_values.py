"""What a graph computes from sizes and constants alone, at one size of the batch.

Exporters write sizes as computations: Shape, Gather, Concat, and then a Reshape by the result. With
the batch fixed all of these are known numbers, and with them the shapes of what depends on the
input. Nothing large is computed, and no weight is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    checker,
    defs,
    helper,
    numpy_helper,
    shape_inference,
)
from onnx.reference import ReferenceEvaluator

from stages.passes.onnx_graph import (
    DEFAULT,
    Shape,
    attribute,
    constant_of,
    graph_inputs,
    opset,
    shape_of_type,
    subgraphs,
)

Array = npt.NDArray[np.generic]

BATCHES = (1, 2, 7)
"""Sizes of the batch at which a graph is looked at: one, the smallest other, and an odd one."""
_SIDES = (224, 64, 32, 28)
"""What a free side of the input may be."""
_LARGEST = 2**14  # elements of a value that is computed
_COMPUTED = frozenset(
    [
        *(
            "Gather",
            "GatherND",
            "GatherElements",
            "ScatterND",
            "ScatterElements",
            "Concat",
            "Split",
        ),
        *("Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Slice", "Pad", "Identity"),
        *("Cast", "CastLike", "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Sign", "Pow"),
        *("Floor", "Ceil", "Round", "Sqrt", "Exp", "Log", "Reciprocal", "Sin", "Cos", "Tanh"),
        *("Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "Softplus", "Softmax", "Clip", "Erf"),
        *("Min", "Max", "Sum", "Mean", "MatMul", "Gemm", "CumSum", "Trilu", "EyeLike", "OneHot"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not"),
        *("Where", "Expand", "Tile", "ConstantOfShape", "Range", "ArgMax", "ArgMin", "IsNaN"),
        *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1"),
        *("ReduceL2", "ReduceSumSquare", "NonZero", "BitShift"),
    ]
)
"""Operators that are computed if all they read is known."""
_UNSIZED = frozenset(["NonZero"])
"""Operators whose result is no larger than what they read, though inference cannot size it."""
_MISFITS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, AttributeError)
_FAILED = (*_MISFITS, shape_inference.InferenceError, checker.ValidationError, AssertionError)


@dataclass
class Known:
    """What is known at one size of the batch.

    `numbers` are values that no input data enter, `shapes` the sizes of all others, None where they
    depend on the data or could not be inferred; `branches` says which way each If goes, by the name
    of its first output.
    """

    numbers: dict[str, Array] = field(default_factory=dict)
    types: dict[str, TypeProto] = field(default_factory=dict)
    branches: dict[str, bool] = field(default_factory=dict)

    def shape(self, name: str) -> Shape | None:
        """The sizes of a value."""
        number = self.numbers.get(name)
        if number is not None:
            return number.shape
        one = self.types.get(name)
        return None if one is None else shape_of_type(one)


def at_batches(model: ModelProto) -> list[list[Known]]:
    """What is known at the batch that is written into the graph, or at each of `BATCHES`.

    One list for each side that the input may have where its sides are free: all at which the
    output's shape can be inferred, or the last that was tried.
    """
    source = graph_inputs(model.graph)
    shape = shape_of_type(source[0].type) if source else None
    sizes = BATCHES if not shape or shape[0] is None else (shape[0],)
    sides = _SIDES if shape is not None and None in shape[1:] else _SIDES[:1]
    tried = [[_at(model, size, side) for size in sizes] for side in sides]
    fitting = [known for known in tried if all(_complete(one, model.graph) for one in known)]
    return fitting or tried[-1:]


def _complete(known: Known, graph: GraphProto) -> bool:
    shapes = [known.shape(output.name) for output in graph.output]
    return all(shape is not None and None not in shape for shape in shapes)


def _at(model: ModelProto, batch: int, side: int) -> Known:
    """What is known where the batch and all free sides of the input have these sizes."""
    known = Known()
    for value in graph_inputs(model.graph):
        one = TypeProto()
        one.CopyFrom(value.type)
        for index, dim in enumerate(one.tensor_type.shape.dim):
            if index == 0 or not dim.HasField("dim_value") or dim.dim_value < 0:
                dim.Clear()
                dim.dim_value = side if index else batch
        known.types[value.name] = one
    _Walk(model, known).graph(model.graph)
    return known


class _Walk:
    """One pass over the nodes of a graph, and over the branches that are taken."""

    def __init__(self, model: ModelProto, known: Known) -> None:
        self.opset, self.imports, self.known = opset(model), list(model.opset_import), known

    def graph(self, graph: GraphProto) -> None:
        """Learns what the nodes of a graph compute, in their order."""
        for tensor in graph.initializer:
            self._learn(tensor.name, tensor)
        for node in graph.node:
            constant = constant_of(node)
            if constant is not None:
                self._learn(node.output[0], constant)
            elif node.op_type == "If":
                self._branch(node)
            elif node.domain in DEFAULT and not any(subgraphs(node)):
                self._node(node)

    def _learn(self, name: str, tensor: TensorProto) -> None:
        self.known.types[name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        if prod(tensor.dims) > _LARGEST or tensor.data_location == TensorProto.EXTERNAL:
            return
        with suppress(*_FAILED):  # a tensor that misstates its size
            self.known.numbers[name] = numpy_helper.to_array(tensor)

    def _branch(self, node: NodeProto) -> None:
        """Follows the branch that is taken, where the condition is a known number."""
        condition = self.known.numbers.get(node.input[0])
        if condition is None or condition.size != 1:
            return
        taken = bool(condition.ravel()[0])
        self.known.branches[node.output[0]] = taken
        branch = branch_of(node, taken=taken)
        self.graph(branch)
        for name, value in zip(node.output, branch.output, strict=False):
            if value.name in self.known.types:
                self.known.types[name] = self.known.types[value.name]
            if value.name in self.known.numbers:
                self.known.numbers[name] = self.known.numbers[value.name]

    def _node(self, node: NodeProto) -> None:
        """Infers the types of a node's outputs, and computes those that are small and known."""
        types, numbers = self.known.types, self.known.numbers
        read = [name for name in node.input if name]
        if any(name not in types for name in read):
            return
        try:
            types.update(self._inferred(node, read))
            if node.op_type in ("Shape", "Size"):
                numbers.update(self._sizes(node))
            elif node.op_type in _COMPUTED and all(name in numbers for name in read):
                numbers.update(self._computed(node, read))
        except _FAILED:
            return  # what cannot be computed is not known

    def _inferred(self, node: NodeProto, read: list[str]) -> dict[str, TypeProto]:
        known = self.known
        schema = defs.get_schema(node.op_type, self.opset, "")
        data = {
            name: numpy_helper.from_array(known.numbers[name], name)
            for name in read
            if name in known.numbers
        }
        types = {name: known.types[name] for name in read}
        return shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=self.imports
        )

    def _sizes(self, node: NodeProto) -> dict[str, Array]:
        """What Shape and Size give of a value whose sizes are all known."""
        shape = self.known.shape(node.input[0])
        if shape is None or None in shape:
            return {}
        sizes = np.array(shape, np.int64)
        if node.op_type == "Size":
            return {node.output[0]: np.array(sizes.prod(), np.int64)}
        start, end = attribute(node, "start", 0), attribute(node, "end", len(sizes))
        return {node.output[0]: sizes[start:end]}

    def _computed(self, node: NodeProto, read: Iterable[str]) -> dict[str, Array]:
        shapes = [shape_of_type(self.known.types[name]) for name in node.output if name]
        small = all(s is not None and None not in s and _count(s) <= _LARGEST for s in shapes)
        if not small and node.op_type not in _UNSIZED:
            return {}
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(node, opsets={"": self.opset}).run(
                None, {name: self.known.numbers[name] for name in read}
            )
        made = dict(zip(node.output, results, strict=False))
        return {name: np.asarray(one) for name, one in made.items() if name}


def branch_of(node: NodeProto, *, taken: bool) -> GraphProto:
    """The graph of an If that runs where its condition is `taken`."""
    name = "then_branch" if taken else "else_branch"
    branch: GraphProto = next(one.g for one in node.attribute if one.name == name)
    return branch


def _count(shape: Shape) -> int:
    return prod(size or 0 for size in shape)
