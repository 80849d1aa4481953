"""Replaces a Gather of all entries of a flattened value by the Reshape that it is."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from stages.passes.onnx_graph import (
    drop_unreached,
    fresh_names,
    inferred,
    producers,
    replace_nodes,
    shape_of,
    values,
)


def apply(model: ModelProto) -> None:
    """Replaces Gathers of the entries 0, 1, 2, … in this order, as torch writes `as_strided`.

    Indices that are written out fix the number of entries at export, so that a batch size in it
    could not be freed.
    """
    fixed = {one.name: one for one in model.graph.initializer}
    made_by, names = producers(model.graph), fresh_names(model.graph, "flat_gather")
    types = values(inferred(model).graph)
    nodes = list(model.graph.node)
    for index, node in enumerate(nodes):
        flat = made_by.get(node.input[0]) if node.op_type == "Gather" else None
        indices = fixed.get(node.input[1]) if flat is not None else None
        if flat is None or indices is None or flat.op_type != "Reshape":
            continue
        if not _takes_all(indices, types.get(flat.output[0])):
            continue
        shape = np.array(indices.dims, dtype=np.int64)
        model.graph.initializer.append(numpy_helper.from_array(shape, name := next(names)))
        nodes[index] = helper.make_node("Reshape", [flat.input[0], name], node.output, node.name)
    replace_nodes(model.graph, nodes)
    drop_unreached(model.graph)


def _takes_all(indices: TensorProto, line: ValueInfoProto | None) -> bool:
    """Whether the indices are those of every entry of a flattened value, in order."""
    numbers = numpy_helper.to_array(indices).ravel()
    length = None if line is None else shape_of(line)
    return length == (numbers.size,) and np.array_equal(numbers, np.arange(numbers.size))
