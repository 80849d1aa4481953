"""Refuses files that leave the precision of their input for double and come back.

The twin computes in float32. What a file keeps in the last bits of a double would be lost there and
go on deciding in the file.
"""

from __future__ import annotations

from onnx import ModelProto, TensorProto

from stages.errors import ModelRefused
from stages.passes.onnx_graph import graph_inputs, inferred, subgraphs, uses, values

_SHAPES = frozenset(["Shape", "Size"])


def require_one_precision(model: ModelProto) -> None:
    """Raises if part of what depends on the input is computed in double, and part is not.

    Raises:
        ModelRefused: it is; the message names the first such node.
    """
    sources = graph_inputs(model.graph)
    kinds = {one.type.tensor_type.elem_type for one in sources}
    if TensorProto.DOUBLE in kinds:
        return
    typed = values(inferred(model).graph)
    live = {value.name for value in sources}
    for node in model.graph.node:
        inside = (name for inner in subgraphs(node) for name in uses(inner))
        if node.op_type in _SHAPES or live.isdisjoint([*node.input, *inside]):
            continue
        live.update(node.output)
        for name in node.output:
            value = typed.get(name)
            if value is not None and value.type.tensor_type.elem_type == TensorProto.DOUBLE:
                raise ModelRefused(
                    f"`{node.op_type}` (node `{node.name or name}`) computes in double precision in"
                    " a model of another precision, which the scan would not follow; export the"
                    " whole model in float32"
                )
