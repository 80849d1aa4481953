"""Gives the default operator domain its short name."""

from __future__ import annotations

from onnx import ModelProto

from stages.passes.onnx_graph import all_graphs


def apply(model: ModelProto) -> None:
    """Writes the domain `ai.onnx` as the empty string, in nodes and opset imports."""
    for graph in all_graphs(model.graph):
        for node in graph.node:
            if node.domain == "ai.onnx":
                node.domain = ""
    for imported in model.opset_import:
        if imported.domain == "ai.onnx":
            imported.domain = ""
