"""A model of two classes that gives the probability of the second alone is given that of the first.

Such a file ends in one Sigmoid, (batch, 1); whoever loads it takes the second class from ½ on. With
(1 − p, p) in its place it decides the same as any other classifier does, by its largest score.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from stages.passes.onnx_graph import (
    all_graphs,
    fresh_names,
    inferred,
    is_float,
    opset,
    producers,
    shape_of,
    values,
)

BROADCASTS = 7
"""The opset from which on a number is subtracted from every row as it is."""
ONE_SCORE = 2
"""The rank of a tensor (batch, 1)."""


def write_both(model: ModelProto) -> None:
    """Turns every output of one probability into those of two classes, under its own name."""
    made_by = producers(model.graph)
    ends = [(made_by.get(output.name), output) for output in model.graph.output]
    sigmoids = [(node, output) for node, output in ends if node and node.op_type == "Sigmoid"]
    if not sigmoids or opset(model) < BROADCASTS:
        return
    types = values(inferred(model).graph)
    for sigmoid, output in sigmoids:
        if _is_one_number(types.get(output.name, output)):
            _write_both(model, sigmoid, output)


def _is_one_number(value: ValueInfoProto) -> bool:
    shape = shape_of(value) or ()
    return is_float(value) and len(shape) == ONE_SCORE and shape[-1] == 1


def _write_both(model: ModelProto, sigmoid: NodeProto, output: ValueInfoProto) -> None:
    """Joins 1 − p and p behind the Sigmoid that gives p to an output of two classes."""
    graph, names = model.graph, fresh_names(model.graph, "one_probability")
    name, share, rest, one = output.name, next(names), next(names), next(names)
    for node in (node for part in all_graphs(graph) for node in part.node):
        node.input[:] = [share if each == name else each for each in node.input]
    sigmoid.output[0] = share
    kind = output.type.tensor_type.elem_type
    number = np.ones((), helper.tensor_dtype_to_np_dtype(kind))
    graph.initializer.append(numpy_helper.from_array(number, one))
    graph.node.append(helper.make_node("Sub", [one, share], [rest]))
    graph.node.append(helper.make_node("Concat", [rest, share], [name], axis=1))
    batch = (shape_of(output) or (None,))[0]
    output.CopyFrom(helper.make_tensor_value_info(name, kind, (batch, 2)))
