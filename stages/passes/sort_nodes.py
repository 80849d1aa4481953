"""Puts every node after those whose values it reads."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from onnx import GraphProto, ModelProto, NodeProto

from stages.passes.onnx_graph import all_graphs, replace_nodes, subgraphs, uses


def apply(model: ModelProto) -> None:
    """Sorts the nodes of every graph; a sorted graph, and one with a cycle, stays as it is.

    The standard asks for this order, but some converters to half precision append their casts.
    """
    for graph in list(all_graphs(model.graph)):
        ordered = in_order(graph)
        if any(one is not other for one, other in zip(ordered, graph.node, strict=True)):
            replace_nodes(graph, ordered)


def in_order(graph: GraphProto) -> list[NodeProto]:
    """The nodes of a graph, each after those it reads; unchanged if sorted or in a cycle.

    Graphs inside nodes are left as they are.
    """
    before = _read_nodes(graph)
    if all(other < index for index, others in before.items() for other in others):
        return list(graph.node)
    try:
        return [graph.node[index] for index in TopologicalSorter(before).static_order()]
    except CycleError:
        return list(graph.node)


def _read_nodes(graph: GraphProto) -> dict[int, list[int]]:
    """For each node the nodes whose values it reads, by index."""
    made_by = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    return {
        index: sorted({made_by[name] for name in _values_read(node) if name in made_by})
        for index, node in enumerate(graph.node)
    }


def _values_read(node: NodeProto) -> set[str]:
    inside = {name for inner in subgraphs(node) for name in uses(inner)}
    return {*node.input, *inside}
