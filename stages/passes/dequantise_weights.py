"""Computes the float weights that a quantised model stores as integers."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from stages.passes.onnx_graph import constants, opset, replace_nodes

OPERATORS = frozenset(["QuantizeLinear", "DequantizeLinear"])
_OLDEST_EVALUATED = 19  # onnx's evaluator has no older version; older nodes mean the same


_OF_ACTIVATIONS = OPERATORS | {"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}


def is_quantised(model: ModelProto) -> bool:
    """Whether the model rounds what it computes to integers, so that ties may round either way."""
    return any(node.op_type in _OF_ACTIVATIONS for node in model.graph.node)


def apply(model: ModelProto) -> None:
    """Replaces each QuantizeLinear and DequantizeLinear of constants by its value.

    A node that writes a graph output stays.
    """
    if not any(node.op_type in OPERATORS for node in model.graph.node):
        return
    by_name = constants(model.graph)
    outputs = {value.name for value in model.graph.output}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        inputs = [by_name.get(name) for name in node.input if name]
        tensors = [tensor for tensor in inputs if tensor is not None]
        computable = len(tensors) == len(inputs) and node.op_type in OPERATORS
        if not computable or outputs.intersection(node.output):
            kept.append(node)
            continue
        value = _value(model, node, tensors)
        by_name[value.name] = value
        model.graph.initializer.append(value)
    replace_nodes(model.graph, kept)


def _value(model: ModelProto, node: NodeProto, tensors: list[TensorProto]) -> TensorProto:
    """What the node computes from these constants, under its output's name."""
    output = helper.make_empty_tensor_value_info(node.output[0])
    graph = helper.make_graph([node], "constant", [], [output], tensors)
    version = max(opset(model), _OLDEST_EVALUATED)
    alone = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    (value,) = ReferenceEvaluator(alone).run(None, {})
    return numpy_helper.from_array(np.asarray(value), node.output[0])
