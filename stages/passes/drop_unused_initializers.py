"""Drops weights that nothing reads."""

from __future__ import annotations

from onnx import ModelProto

from stages.passes.onnx_graph import uses


def apply(model: ModelProto) -> None:
    """Drops the initializers that no node at any depth and no graph output reads."""
    used = uses(model.graph)
    unused = [index for index, one in enumerate(model.graph.initializer) if one.name not in used]
    for index in reversed(unused):
        del model.graph.initializer[index]
