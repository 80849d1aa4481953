"""What several passes need to know about an ONNX graph, and how they replace its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, count

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    numpy_helper,
    shape_inference,
)

Shape = tuple[int | None, ...]

FLOATS = frozenset(
    [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE]
)
"""Element types of numbers that a network computes with."""
DEFAULT = ("", "ai.onnx")
"""The two names of the default operator domain."""


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in a node's attributes, such as the branches of an If."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph itself and every graph nested in it, outer ones first."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from all_graphs(inner)


def uses(graph: GraphProto) -> set[str]:
    """Names of all values that a node at any depth or a graph output reads."""
    return {
        name
        for part in all_graphs(graph)
        for names in (*(node.input for node in part.node), (out.name for out in part.output))
        for name in names
    }


def producers(graph: GraphProto) -> dict[str, NodeProto]:
    """The node that writes each value, without those in subgraphs."""
    return {name: node for node in graph.node for name in node.output if name}


def attribute(node: NodeProto, name: str, default: int) -> int:
    """The integer attribute of that name, or the default if the node lacks it."""
    return next((one.i for one in node.attribute if one.name == name), default)


def opset(model: ModelProto) -> int:
    """The version of the default operator domain the model imports, 0 if it imports none."""
    versions = [one.version for one in model.opset_import if one.domain in DEFAULT]
    return max(versions, default=0)


def shape_of(value: ValueInfoProto) -> Shape | None:
    """The shape of a tensor value with None for free sizes; None where even the rank is unknown.

    Some exporters write a free size as −1.
    """
    return shape_of_type(value.type)


def shape_of_type(one: TypeProto) -> Shape | None:
    """The shape that a tensor's type states, as `shape_of` gives it."""
    if not one.tensor_type.HasField("shape"):
        return None
    dims = one.tensor_type.shape.dim
    fixed = (dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims)
    return tuple(dim.dim_value if sized else None for dim, sized in zip(dims, fixed, strict=True))


def graph_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """The inputs a caller must feed: those that no initializer fills."""
    filled = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in filled]


def inferred(model: ModelProto) -> ModelProto:
    """A copy with all shapes that onnx infers, or the model itself where inference fails."""
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, ValueError, RuntimeError, TypeError):
        return model


def values(graph: GraphProto) -> dict[str, ValueInfoProto]:
    """The stated type of each value: inputs, outputs and everything between."""
    return {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}


def replace_nodes(graph: GraphProto, nodes: list[NodeProto]) -> None:
    """Replaces all nodes of the graph by these."""
    copies = []
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)


def rename_uses(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Makes every node of the graph, at any depth, read `names[x]` where it read `x`.

    A name that a subgraph defines itself hides the outer one and stays.
    """
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for inner in subgraphs(node):
            own = {value.name for value in inner.input} | set(producers(inner))
            own |= {tensor.name for tensor in inner.initializer}
            visible = {old: new for old, new in names.items() if old not in own}
            rename_uses(inner, visible)
            for output in inner.output:
                output.name = visible.get(output.name, output.name)


def is_float(value: ValueInfoProto) -> bool:
    """Whether the value is a tensor of floating-point numbers, of whatever precision."""
    return value.type.tensor_type.elem_type in FLOATS


def constants(graph: GraphProto) -> dict[str, TensorProto]:
    """Every tensor in the graph, an initializer or a Constant node, by the value's name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        tensor = constant_of(node)
        if tensor is not None:
            tensors[tensor.name] = tensor
    return tensors


def constant_of(node: NodeProto) -> TensorProto | None:
    """The node's constant, named as its output; None if it is not a numeric Constant."""
    if node.op_type != "Constant" or node.domain not in DEFAULT or len(node.attribute) != 1:
        return None
    one = node.attribute[0]
    if one.name == "value":
        tensor = TensorProto()
        tensor.CopyFrom(one.t)
        tensor.name = node.output[0]
        return tensor
    numbers = {
        "value_float": (one.f, np.float32),
        "value_floats": (one.floats, np.float32),
        "value_int": (one.i, np.int64),
        "value_ints": (one.ints, np.int64),
    }.get(one.name)
    if numbers is None:
        return None
    return numpy_helper.from_array(np.array(numbers[0], numbers[1]), node.output[0])


def fresh_names(graph: GraphProto, stem: str) -> Iterator[str]:
    """Names `<stem>_<number>` that no value of the graph has."""
    written = chain.from_iterable(node.output for node in graph.node)
    taken = uses(graph) | set(written) | {one.name for one in graph.initializer}
    taken |= {value.name for value in graph.input}
    return (name for number in count() if (name := f"{stem}_{number}") not in taken)


def drop_unreached(graph: GraphProto) -> None:
    """Drops nodes that the outputs do not depend on."""
    needed = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= _reads(node)
    replace_nodes(graph, kept[::-1])


def _reads(node: NodeProto) -> set[str]:
    inner = (name for part in subgraphs(node) for one in part.node for name in _reads(one))
    outputs = (value.name for part in subgraphs(node) for value in part.output)
    return {*node.input, *inner, *outputs}
