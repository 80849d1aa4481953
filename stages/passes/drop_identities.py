"""Drops nodes that pass their input on unchanged."""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from stages.passes.onnx_graph import rename_uses, replace_nodes


def apply(model: ModelProto) -> None:
    """Drops Identity and Dropout nodes and lets their readers, in subgraphs too, read their input.

    A node that writes a graph output stays, and so does a Dropout whose mask is read.
    """
    outputs = {value.name for value in model.graph.output}
    names: dict[str, str] = {}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        if _passes_on(node) and node.output[0] not in outputs:
            names[node.output[0]] = names.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    replace_nodes(model.graph, kept)
    rename_uses(model.graph, names)


def _passes_on(node: NodeProto) -> bool:
    masked = len(node.output) > 1 and node.output[1] != ""
    return node.op_type == "Identity" or (node.op_type == "Dropout" and not masked)
