"""Turns Constant nodes into initializers."""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from stages.passes.onnx_graph import constant_of, replace_nodes


def apply(model: ModelProto) -> None:
    """Moves the value of each numeric Constant node into an initializer of the same name.

    A constant that is a graph output stays a node, as do strings and sparse tensors.
    """
    outputs = {value.name for value in model.graph.output}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        tensor = None if outputs.intersection(node.output) else constant_of(node)
        if tensor is None:
            kept.append(node)
        else:
            model.graph.initializer.append(tensor)
    replace_nodes(model.graph, kept)
