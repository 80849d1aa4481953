"""A model of two classes that gives the probability of the second alone is given that of the first.

Such a file ends in one Sigmoid, (batch, 1); whoever loads it takes the second class from ½ on. With
(1 − p, p) in its place it decides the same as any other classifier does, by its largest score.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from stages.passes.onnx_graph import (
    fresh_names,
    inferred,
    is_float,
    opset,
    producers,
    shape_of,
    subgraphs,
    values,
)

BROADCASTS = 7
"""The opset from which on a number is subtracted from every row as it is."""
ONE_SCORE = 2
"""The rank of a tensor (batch, 1)."""


def write_both(model: ModelProto) -> None:
    """Turns every output of one probability into those of two classes, under its own name."""
    if opset(model) < BROADCASTS:
        return
    types, made_by = values(inferred(model).graph), producers(model.graph)
    for output in model.graph.output:
        sigmoid = made_by.get(output.name)
        if sigmoid is not None and _is_one_probability(types.get(output.name, output), sigmoid):
            _write_both(model, sigmoid, output)


def _is_one_probability(value: ValueInfoProto, made_by: NodeProto) -> bool:
    shape = shape_of(value) or ()
    return (
        made_by.op_type == "Sigmoid"
        and is_float(value)
        and len(shape) == ONE_SCORE
        and shape[-1] == 1
    )


def _write_both(model: ModelProto, sigmoid: NodeProto, output: ValueInfoProto) -> None:
    """Joins 1 − p and p behind the Sigmoid that gives p to an output of two classes."""
    graph, names = model.graph, fresh_names(model.graph, "one_probability")
    name, share, rest, one = output.name, next(names), next(names), next(names)
    for node in graph.node:
        for inner in (node, *(each for part in subgraphs(node) for each in part.node)):
            inner.input[:] = [share if each == name else each for each in inner.input]
    sigmoid.output[0] = share
    kind = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    graph.initializer.append(numpy_helper.from_array(np.ones((), kind), one))
    graph.node.append(helper.make_node("Sub", [one, share], [rest]))
    graph.node.append(helper.make_node("Concat", [rest, share], [name], axis=1))
    batch = (shape_of(output) or (None,))[0]
    output.CopyFrom(
        helper.make_tensor_value_info(
            name, output.type.tensor_type.elem_type or TensorProto.FLOAT, (batch, 2)
        )
    )
