"""Which operator domains a model needs, of all those it says it imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import ModelProto, NodeProto

from stages.passes.onnx_graph import subgraphs

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Those whose operators can be judged."""


def drop_unused_imports(model: ModelProto) -> None:
    """Drops the imports of other domains than `DOMAINS` that no node at any depth uses.

    onnxruntime lists every domain it knows in the files it saves.
    """
    used = used_domains(model)
    kept = [one for one in model.opset_import if one.domain in used or one.domain in DOMAINS]
    if len(kept) < len(model.opset_import):
        copies = [(one.domain, one.version) for one in kept]
        del model.opset_import[:]
        for domain, version in copies:
            model.opset_import.add(domain=domain, version=version)


def used_domains(model: ModelProto) -> set[str]:
    """The domains of all nodes, at any depth and in functions."""
    bodies = (model.graph.node, *(one.node for one in model.functions))
    return {node.domain for body in bodies for node in nodes_at_any_depth(body)}


def nodes_at_any_depth(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes and those in their subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from nodes_at_any_depth(graph.node)
