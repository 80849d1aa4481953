"""Makes a float32 model of one that computes in half or double precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from stages.passes.onnx_graph import FLOATS, all_graphs, inferred, is_float, values

_OTHERS = FLOATS - {TensorProto.FLOAT}
_HALVES = _OTHERS - {TensorProto.DOUBLE}
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type", "softmax_precision")
_LARGEST = float(np.finfo(np.float32).max)


def is_half(model: ModelProto) -> bool:
    """Whether any number of the model is stored, or any value computed, in half precision."""
    return not _HALVES.isdisjoint(_types(model))


def apply(model: ModelProto) -> None:
    """Writes every float type as float32; a cast from one to another becomes an Identity.

    Numbers beyond the range of float32 become its largest.
    """
    if _OTHERS.isdisjoint(_types(model)):
        return
    floats = {name for name, value in values(inferred(model).graph).items() if is_float(value)}
    for graph in all_graphs(model.graph):
        for tensor in graph.initializer:
            _widen(tensor)
        for value in (*graph.input, *graph.output):
            if is_float(value):
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            _rewrite(node, floats)
        del graph.value_info[:]


def _types(model: ModelProto) -> set[int]:
    """Every element type in the file."""
    return {kind for graph in all_graphs(model.graph) for kind in _types_in(graph)}


def _types_in(graph: GraphProto) -> Iterator[int]:
    yield from (tensor.data_type for tensor in graph.initializer)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.type.tensor_type.elem_type
    for node in graph.node:
        for one in node.attribute:
            yield one.t.data_type
            if one.name in _TYPE_ATTRIBUTES:
                yield one.i


def _rewrite(node: NodeProto, floats: set[str]) -> None:
    """Turns the types that the node states to float32."""
    for one in node.attribute:
        if one.HasField("t"):
            _widen(one.t)
        if one.name in _TYPE_ATTRIBUTES and one.i in _OTHERS:
            one.i = TensorProto.FLOAT
    if node.op_type == "Cast" and node.input[0] in floats and node.attribute[0].i in FLOATS:
        node.op_type = "Identity"
        del node.attribute[:]


def _widen(tensor: TensorProto) -> None:
    """Stores the numbers of a tensor as float32."""
    if tensor.data_type not in _OTHERS:
        return
    numbers = numpy_helper.to_array(tensor).astype(np.float64)
    within = np.where(np.isinf(numbers), numbers, np.clip(numbers, -_LARGEST, _LARGEST))
    tensor.CopyFrom(numpy_helper.from_array(within.astype(np.float32), tensor.name))
