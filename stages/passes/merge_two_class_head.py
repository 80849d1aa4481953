"""Merges a layer with one output and the row that widens it into a layer with two outputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, helper, numpy_helper

from stages.passes.onnx_graph import (
    attribute,
    constants,
    fresh_names,
    producers,
    replace_nodes,
)

Array = npt.NDArray[np.float32]


def apply(model: ModelProto) -> None:
    """Merges the last MatMul, by a constant row, into the linear layer before it.

    With h·w + b before it and the row r after it the logits are h·(w·r) + b·r. Anything else stays.
    """
    last = producers(model.graph).get(model.graph.output[0].name)
    if last is None or last.op_type != "MatMul":
        return
    row, layer = _array(model, last.input[1]), _layer(model, last.input[0])
    if row is None or row.ndim != 2 or row.shape[0] != 1 or layer is None:
        return
    gone, source, weight, bias = layer
    names = fresh_names(model.graph, "two_class_head")
    wide = _stored(model, next(names), weight.reshape(-1, 1) * row)
    inputs = [source, wide, _stored(model, next(names), bias * row.ravel())]
    kept = [node for node in model.graph.node if node not in (*gone, last)]
    gemm = helper.make_node("Gemm", inputs, list(last.output))
    replace_nodes(model.graph, [*kept, gemm])


def _layer(model: ModelProto, output: str) -> tuple[list[NodeProto], str, Array, Array] | None:
    """The nodes of a layer with one output, its input, its weight and its bias."""
    made_by = producers(model.graph)
    node = made_by.get(output)
    readers = [one for one in model.graph.node if output in one.input]
    if node is None or len(readers) != 1:
        return None
    if node.op_type == "Gemm":
        return _gemm(model, node)
    if node.op_type != "Add":
        return None
    for product_name, bias_name in (node.input, list(node.input)[::-1]):
        product, bias = made_by.get(product_name), _array(model, bias_name)
        if product is None or product.op_type != "MatMul" or bias is None or bias.size != 1:
            continue
        weight = _array(model, product.input[1])
        readers = [one for one in model.graph.node if product_name in one.input]
        if weight is not None and weight.ndim == 2 and weight.shape[1] == 1 and len(readers) == 1:
            return [product, node], product.input[0], weight, bias.ravel()
    return None


def _gemm(model: ModelProto, node: NodeProto) -> tuple[list[NodeProto], str, Array, Array] | None:
    """The same for a Gemm without factors."""
    factors = any(one.name in ("alpha", "beta") and one.f != 1 for one in node.attribute)
    if factors or attribute(node, "transA", 0) or len(node.input) < 3:
        return None
    weight, bias = _array(model, node.input[1]), _array(model, node.input[2])
    if weight is None or bias is None or bias.size != 1:
        return None
    outputs = weight.shape[0 if attribute(node, "transB", 0) else 1]
    return ([node], node.input[0], weight, bias.ravel()) if outputs == 1 else None


def _array(model: ModelProto, name: str) -> Array | None:
    tensor = constants(model.graph).get(name)
    return None if tensor is None else numpy_helper.to_array(tensor).astype(np.float32)


def _stored(model: ModelProto, name: str, value: Array) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name
