"""Turns Constant nodes into initializers."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from stages.normalise.graph import replace_nodes


def apply(model: ModelProto) -> None:
    """Moves the value of each numeric Constant node into an initializer of the same name.

    A constant that is a graph output stays a node, as do strings and sparse tensors.
    """
    outputs = {value.name for value in model.graph.output}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        tensor = None if outputs.intersection(node.output) else _value(node)
        if tensor is None:
            kept.append(node)
        else:
            model.graph.initializer.append(tensor)
    replace_nodes(model.graph, kept)


def _value(node: NodeProto) -> TensorProto | None:
    """The constant the node holds, named as its output; None for what is no numeric Constant."""
    if node.op_type != "Constant" or node.domain != "" or len(node.attribute) != 1:
        return None
    one = node.attribute[0]
    if one.name == "value":
        tensor = TensorProto()
        tensor.CopyFrom(one.t)
        tensor.name = node.output[0]
        return tensor
    numbers = {
        "value_float": (one.f, np.float32),
        "value_floats": (one.floats, np.float32),
        "value_int": (one.i, np.int64),
        "value_ints": (one.ints, np.int64),
    }.get(one.name)
    if numbers is None:
        return None
    return numpy_helper.from_array(np.array(numbers[0], numbers[1]), node.output[0])
