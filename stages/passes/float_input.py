"""Makes a model that reads whole numbers take them as floats, the type of every sample."""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, helper

from stages.passes.onnx_graph import fresh_names, graph_inputs, rename_uses, replace_nodes

INTEGERS = (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64)


def apply(model: ModelProto) -> None:
    """Puts a Cast after an integer input, which itself becomes float32."""
    (source, *_) = graph_inputs(model.graph)
    kind = source.type.tensor_type.elem_type
    if kind not in INTEGERS:
        return
    whole = next(fresh_names(model.graph, "whole_numbers"))
    rename_uses(model.graph, {source.name: whole})
    cast: NodeProto = helper.make_node("Cast", [source.name], [whole], to=kind)
    source.type.tensor_type.elem_type = TensorProto.FLOAT
    replace_nodes(model.graph, [cast, *model.graph.node])
