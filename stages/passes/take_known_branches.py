"""Puts the branch that an If always takes in its place.

Tracing a net with a free batch leaves branches on sizes, such as whether an axis has one entry.
Such a condition is the same for every input and every size of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, ModelProto, NodeProto, helper

from stages.passes.known_values import at_batches, branch_of
from stages.passes.onnx_graph import fresh_names, rename_uses, replace_nodes


def apply(model: ModelProto) -> None:
    """Replaces every If whose condition is one number at all sizes of the batch and sides.

    An If on the input's data, its free sides or its batch stays as it is.
    """
    while any(node.op_type == "If" for node in model.graph.node):
        known = [one for at_side in at_batches(model) for one in at_side]
        nodes: list[NodeProto] = []
        names = fresh_names(model.graph, "branch")
        for node in model.graph.node:
            ways = {one.branches.get(node.output[0]) for one in known}
            taken = ways.pop() if node.op_type == "If" and len(ways) == 1 else None
            nodes += [node] if taken is None else _inlined(model.graph, node, taken, names)
        if len(nodes) == len(model.graph.node) and nodes == list(model.graph.node):
            return
        replace_nodes(model.graph, nodes)


def _inlined(
    graph: GraphProto, node: NodeProto, taken: bool, names: Iterator[str]
) -> list[NodeProto]:
    """The nodes of a branch, its values renamed, and what copies its results to the If's."""
    branch = GraphProto()
    branch.CopyFrom(branch_of(node, taken=taken))
    written = [name for one in branch.node for name in one.output if name]
    renamed = {name: next(names) for name in (*written, *(t.name for t in branch.initializer))}
    for tensor in branch.initializer:
        tensor.name = renamed[tensor.name]
        graph.initializer.append(tensor)
    for one in branch.node:
        one.output[:] = [renamed.get(name, name) for name in one.output]
    rename_uses(branch, renamed)
    results = [renamed.get(value.name, value.name) for value in branch.output]
    copies = [
        helper.make_node("Identity", [made], [name], name=name)
        for made, name in zip(results, node.output, strict=True)
    ]
    return [*branch.node, *copies]
