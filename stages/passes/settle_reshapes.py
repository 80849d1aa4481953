"""Gives every Reshape with a known result shape a constant target, so that it reads data alone."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from stages.passes.onnx_graph import (
    Shape,
    drop_unreached,
    fresh_names,
    inferred,
    replace_nodes,
    shape_of,
    values,
)


def apply(model: ModelProto) -> None:
    """Replaces targets that the graph computes, such as from the size of the input's batch.

    A result with one free size gets −1 there; with two the Reshape stays as it is.
    """
    types = values(inferred(model).graph)
    fixed = {tensor.name for tensor in model.graph.initializer}
    names = fresh_names(model.graph, "target")
    nodes = list(model.graph.node)
    for index, node in enumerate(nodes):
        if node.op_type != "Reshape" or node.input[1] in fixed:
            continue
        value = types.get(node.output[0])
        target = None if value is None else _target(shape_of(value))
        if target is None:
            continue
        name = next(names)
        model.graph.initializer.append(numpy_helper.from_array(target, name))
        nodes[index] = helper.make_node("Reshape", [node.input[0], name], node.output, node.name)
    replace_nodes(model.graph, nodes)
    drop_unreached(model.graph)


def _target(shape: Shape | None) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """The sizes with −1 for the free one; None if they fit more than one target."""
    if shape is None or shape.count(None) > 1 or 0 in shape:
        return None
    return np.array([-1 if size is None else size for size in shape], dtype=np.int64)
