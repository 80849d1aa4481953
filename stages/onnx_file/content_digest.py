"""One sha256 of what a model is, whatever the layout of its file.

Every value gets a digest of what computes it, from the graph's inputs and weights onwards, so the
names of inner values and the order in which nodes and weights are stored do not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TypeProto,
    numpy_helper,
)

from stages.errors import ModelRefused
from stages.passes.onnx_graph import DEFAULT
from stages.passes.sort_nodes import in_order

Values = Mapping[str, bytes]
"""Digests of values by their names in the file."""

_PLAIN = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}


def content_digest(model: ModelProto) -> str:
    """The sha256, in hexadecimal, of a model with its weights inside.

    Operators, attributes, wiring, shapes, types, every bit of every weight, opsets, and the names
    of the model's inputs and outputs count; so do nodes and weights that nothing reads. Names of
    inner values, order of storage, file names, producer, metadata and comments do not. Two nodes
    that compute the same from the same inputs are one value.

    Raises:
        ModelRefused: a weight is stored outside the model or cannot be read, or a value is read
            that nothing computes.
    """
    opsets = sorted((_domain(each.domain), each.version) for each in model.opset_import)
    functions = sorted(each.SerializeToString(deterministic=True) for each in model.functions)
    names = [[each.name for each in part] for part in (model.graph.input, model.graph.output)]
    return _digest("model", opsets, functions, names, _graph(model.graph, {})).hex()


def _graph(graph: GraphProto, outside: Values) -> bytes:
    """The digest of a graph that may read values from outside."""
    weights = _weights(graph)
    inputs = [(_type(each.type), weights.get(each.name, b"")) for each in graph.input]
    places = {each.name: _digest("input", place) for place, each in enumerate(graph.input)}
    values = {**outside, **weights, **places}
    nodes = []
    for node in in_order(graph):
        digest = _node(node, values)
        nodes.append(digest)
        values |= {name: _digest(digest, place) for place, name in enumerate(node.output) if name}
    outputs = [(_type(each.type), _read(each.name, values)) for each in graph.output]
    return _digest("graph", inputs, outputs, sorted(nodes), sorted(weights.values()))


def _weights(graph: GraphProto) -> dict[str, bytes]:
    dense = {each.name: _tensor(each) for each in graph.initializer}
    return dense | {each.values.name: _sparse(each) for each in graph.sparse_initializer}


def _node(node: NodeProto, values: Values) -> bytes:
    inputs = [_read(name, values) if name else b"" for name in node.input]
    while inputs and not inputs[-1]:
        inputs.pop()  # an empty name at the end means the same as none
    attributes = sorted(
        (each.name, int(each.type), _attribute(each, values)) for each in node.attribute
    )
    operator = (_domain(node.domain), node.op_type, node.overload)
    return _digest("node", operator, inputs, attributes, [bool(name) for name in node.output])


def _read(name: str, values: Values) -> bytes:
    if name not in values:
        raise ModelRefused(
            f"the value `{name}` is read, but nothing makes it; export the model again"
        )
    return values[name]


def _attribute(attribute: AttributeProto, values: Values) -> bytes:
    match attribute.type:
        case AttributeProto.FLOAT | AttributeProto.FLOATS:
            floats = np.array(getattr(attribute, _PLAIN[attribute.type]), np.float32)
            return _digest(floats.tobytes())  # its bits, because NaN is not equal to itself
        case kind if kind in _PLAIN:
            content = getattr(attribute, _PLAIN[kind])
            return _digest(content if isinstance(content, int | bytes) else list(content))
        case AttributeProto.TENSOR | AttributeProto.TENSORS:
            return _digest([_tensor(each) for each in (*_one(attribute, "t"), *attribute.tensors)])
        case AttributeProto.GRAPH | AttributeProto.GRAPHS:
            graphs = (*_one(attribute, "g"), *attribute.graphs)
            return _digest([_graph(each, values) for each in graphs])
    rest = AttributeProto()
    rest.CopyFrom(attribute)
    rest.ClearField("doc_string")
    return _digest(rest.SerializeToString(deterministic=True))


def _one(attribute: AttributeProto, field: str) -> Iterator[TensorProto | GraphProto]:
    if attribute.HasField(field):
        yield getattr(attribute, field)


def _tensor(tensor: TensorProto) -> bytes:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelRefused(f"tensor `{tensor.name}` is stored outside the file; put it inside")
    head = ("tensor", int(tensor.data_type), list(tensor.dims))
    if tensor.data_type == TensorProto.STRING:
        return _digest(*head, list(tensor.string_data))
    try:
        return _digest(*head, numpy_helper.to_array(tensor).tobytes())
    except (ValueError, TypeError) as error:
        raise ModelRefused(
            f"tensor `{tensor.name}` cannot be read ({error}); export the model again"
        ) from error


def _sparse(sparse: SparseTensorProto) -> bytes:
    return _digest("sparse", list(sparse.dims), _tensor(sparse.values), _tensor(sparse.indices))


def _type(kind: TypeProto) -> bytes:
    """A type without the names of its free sizes, which exporters choose at random."""
    bare = TypeProto()
    bare.CopyFrom(kind)
    for size in bare.tensor_type.shape.dim if bare.HasField("tensor_type") else ():
        if not size.HasField("dim_value"):
            size.Clear()
        size.ClearField("denotation")
    bare.ClearField("denotation")
    content: bytes = bare.SerializeToString(deterministic=True)
    return content


def _domain(name: str) -> str:
    return "" if name in DEFAULT else name


def _digest(*parts: object) -> bytes:
    """The sha256 of parts, each behind its type and length, so that no two lists run together."""
    state = hashlib.sha256()
    for part in parts:
        content = _bytes(part)
        state.update(f"{type(part).__name__}:{len(content)}:".encode())
        state.update(content)
    return state.digest()


def _bytes(part: object) -> bytes:
    match part:
        case bytes():
            return part
        case list() | tuple():
            return _digest(*part)
        case bool() | int() | str():
            return str(part).encode("utf-8", "surrogateescape")
    raise TypeError(f"no digest is defined for {type(part).__name__}")
