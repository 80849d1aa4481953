"""Finds functions behind the last real layer that keep no order of its scores.

Between the layers whose weights compute the scores and the scores themselves, only what is linear
may stand: sums, means and pooling of several heads, changes of shape. Any other function of as few
numbers as there are classes could hide the margins from a search without moving a decision.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

from onnx import ModelProto, NodeProto, ValueInfoProto

from stages.errors import ModelRefused
from stages.passes.bounds import Bounds
from stages.passes.onnx_graph import constants, producers, shape_of
from stages.passes.score_tail import Tail, Types, class_count

WEIGHTED = frozenset(
    [
        *("Gemm", "MatMul", "Conv", "ConvTranspose", "Einsum", "LinearClassifier"),
        *("MatMulInteger", "ConvInteger"),
    ]
)
LINEAR = frozenset(
    [
        *("Add", "Sub", "Sum", "Mean", "Neg", "Identity", "Cast", "Dropout", "Concat", "Split"),
        *("ReduceMean", "ReduceSum", "AveragePool", "GlobalAveragePool", "BatchNormalization"),
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Gather", "Slice"),
        *("Pad", "LogSoftmax", "DequantizeLinear", "QuantizeLinear", "Scaler"),
    ]
)
"""Operators that only add, weigh and arrange; a LogSoftmax shifts all scores of a sample alike."""
PROBABILITIES = frozenset(["Softmax", "Sigmoid"])


def tangled(model: ModelProto, tail: Tail, output: ValueInfoProto, types: Types) -> bool:
    """Whether the scores are a mixture of probabilities, whose logarithm is to be searched.

    `types` are the inferred types of the model's values by their names.

    Raises:
        ModelRefused: another function lies between the last real layers and the scores.
    """
    graph = model.graph
    made_by, fixed = producers(graph), constants(graph)
    classes = class_count(output)
    mixed, seen, waiting = False, set(), [tail.name]
    while waiting:
        name = waiting.pop()
        node = made_by.get(name)
        if node is None or name in seen or name in fixed or node.op_type in WEIGHTED:
            continue
        seen.add(name)
        if not _is_linear(node, fixed, made_by) and _is_narrow(types.get(name), classes):
            if node.op_type not in PROBABILITIES or name == tail.name:
                raise ModelRefused(
                    f"`{node.op_type}` (node `{node.name or name}`) changes the scores after the"
                    " last layer with weights in a way that keeps no order; export the scores of"
                    " that layer"
                )
            mixed = True
            continue
        waiting.extend(one for one in node.input if one)
    return mixed and Bounds(graph).of(tail.name)[0] >= 0


def _is_linear(node: NodeProto, fixed: Container[str], made_by: Mapping[str, NodeProto]) -> bool:
    """Whether the node is linear in what depends on the input."""
    if node.op_type in ("Mul", "Div"):
        return any(_is_scale(name, fixed, made_by) for name in node.input)
    return node.op_type in LINEAR


def _is_scale(name: str, fixed: Container[str], made_by: Mapping[str, NodeProto]) -> bool:
    """Whether a value is constant, or the scale of a quantised tensor times a constant."""
    node = made_by.get(name)
    if name in fixed or node is None:
        return name in fixed
    if node.op_type == "DynamicQuantizeLinear":
        return bool(name == node.output[1])
    arranged = node.op_type in ("Mul", "Cast", "Reshape", "Unsqueeze", "Identity")
    return arranged and all(_is_scale(one, fixed, made_by) for one in node.input)


def _is_narrow(value: ValueInfoProto | None, classes: int | None) -> bool:
    """Whether a value has as few numbers of each sample as there are classes, but several."""
    shape = (shape_of(value) if value is not None else None) or (None, None)
    if classes is None or None in shape[1:]:
        return False
    return 1 < math.prod(size for size in shape[1:] if size is not None) <= classes
