"""Frees a batch size that the exporter wrote into the graph.

The fixed batch B of the graph input is replaced by a large prime P and shapes are inferred again:
any size that P divides then carries the batch. Where a constant shape still holds B in the place
of P it is rewritten, upstream nodes first, until no such place is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from stages.normalise.graph import (
    attribute,
    fresh_names,
    graph_inputs,
    inferred,
    replace_nodes,
    shape_of,
    values,
)

_PRIME = 7919
_SYMBOL = "batch"

Dims = tuple[int, ...]


def apply(model: ModelProto) -> None:
    """Makes the batch of the graph input free; where that cannot be proved the model stays."""
    inputs = graph_inputs(model.graph)
    shape = shape_of(inputs[0]) if len(inputs) == 1 else None
    if not shape or not shape[0] or len(model.graph.output) != 1:
        return
    freed = ModelProto()
    freed.CopyFrom(model)
    _name_batch(freed.graph, _PRIME)
    for _ in range(len(model.graph.node)):
        if not _rewrite(freed, shape[0]):
            break
    output = inferred(freed).graph.output[0]
    told = shape_of(output)
    if told and told[0] == _PRIME and _PRIME not in told[1:]:
        freed.graph.output[0].CopyFrom(output)
        _name_batch(freed.graph, _SYMBOL)
        model.CopyFrom(freed)


def _name_batch(graph: GraphProto, batch: int | str) -> None:
    """Sets the batch of the graph's input and output and forgets all shapes between them."""
    del graph.value_info[:]
    for value in (graph_inputs(graph)[0], graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and dims:
            dims[0].Clear()
            setattr(dims[0], "dim_param" if isinstance(batch, str) else "dim_value", batch)
    if isinstance(batch, int):
        graph.output[0].type.tensor_type.ClearField("shape")


def _rewrite(model: ModelProto, batch: int) -> bool:
    """Frees every place whose input already carries the batch; whether there was one."""
    graph = model.graph
    shapes = {
        name: _known(shape_of(value)) for name, value in values(inferred(model).graph).items()
    }
    shapes |= {one.name: tuple(one.dims) for one in graph.initializer}
    names = fresh_names(graph, "free_batch")
    nodes: list[NodeProto] = []
    changed = False
    for node in graph.node:
        before = _REWRITERS.get(node.op_type, _leave)(node, graph, shapes, batch, names)
        changed |= before is not None
        nodes += [*(before or ()), node]
    if changed:
        replace_nodes(graph, nodes)
    return changed


Shapes = dict[str, Dims | None]
Rewriter = Callable[[NodeProto, GraphProto, Shapes, int, Iterator[str]], list[NodeProto] | None]


def _leave(
    _node: NodeProto, _graph: GraphProto, _shapes: Shapes, _batch: int, _names: Iterator[str]
) -> None:
    """Changes nothing."""


def _reshape(
    node: NodeProto, graph: GraphProto, shapes: Shapes, batch: int, names: Iterator[str]
) -> list[NodeProto] | None:
    """Puts −1 at the entry of a constant target that holds the batch, sizes everywhere else."""
    source, target = shapes.get(node.input[0]), _integers(graph, node.input[1])
    if source is None or target is None or _carrier(source) is None:
        return None
    at_batch = tuple(size // _PRIME * batch if size % _PRIME == 0 else size for size in source)
    full = _resolve(target, at_batch, copies=attribute(node, "allowzero", 0) == 0)
    entry = None if full is None else batch_entry(source, full, batch)
    if full is None or entry is None:
        return None
    wanted = [-1 if index == entry else size for index, size in enumerate(full)]
    if wanted == target:
        return None
    node.input[1] = _add_constant(graph, next(names), wanted)
    return []


def batch_entry(source: Dims, target: Dims, batch: int) -> int | None:
    """The entry of a Reshape's target (sizes at batch `batch`) that holds the batch.

    `source` is the input's shape at the prime batch. In row-major order one sample step is `inner`
    elements long; the batch fits into an entry whose step divides `inner` and whose span is a
    multiple of `batch·inner`. An entry that is the batch itself wins, then the innermost that is
    not the last.
    """
    axis = _carrier(source)
    if axis is None:
        return None
    after = prod(source[axis + 1 :])
    inners = {after, after * (source[axis] // _PRIME)}
    steps = [prod(target[index + 1 :]) for index in range(len(target))]
    for index, size in enumerate(target):
        if size == batch and steps[index] in inners:
            return index
    for inner in sorted(inners):
        spans = [
            index
            for index, size in enumerate(target)
            if inner % steps[index] == 0 and steps[index] * size % (inner * batch) == 0
        ]
        if spans:
            return max((index for index in spans if index < len(target) - 1), default=spans[-1])
    return None


def _expand(
    node: NodeProto, graph: GraphProto, shapes: Shapes, batch: int, names: Iterator[str]
) -> list[NodeProto] | None:
    """Lets a constant Expand keep the batch its input already has: 1 in place of B."""
    source, target = shapes.get(node.input[0]), _integers(graph, node.input[1])
    axis = None if source is None else _carrier(source)
    if source is None or target is None or axis is None:
        return None
    entry = axis - len(source) + len(target)
    if entry < 0 or batch == 1 or target[entry] != batch:
        return None
    wanted = [1 if index == entry else size for index, size in enumerate(target)]
    node.input[1] = _add_constant(graph, next(names), wanted)
    return []


def _concat(
    node: NodeProto, graph: GraphProto, shapes: Shapes, batch: int, names: Iterator[str]
) -> list[NodeProto] | None:
    """Repeats inputs that do not depend on the batch, such as a class token, once per sample."""
    sizes = [shapes.get(name) for name in node.input]
    carried = {axis for size in sizes if size and (axis := _carrier(size)) is not None}
    if len(carried) != 1:
        return None
    (axis,) = carried
    before: list[NodeProto] = []
    for index, size in enumerate(sizes):
        if (
            size
            and _carrier(size) is None
            and _repeats(node.input[index], graph, size, axis, batch)
        ):
            take, first = _first_entry(graph, node.input[index], axis, names)
            shape, target = _sample_shape(graph, size, axis, names)
            node.input[index] = next(names)
            expand = helper.make_node("Expand", [first, target], [node.input[index]])
            before += [take, *shape, expand]
    return before or None


def _repeats(name: str, graph: GraphProto, size: Dims, axis: int, batch: int) -> bool:
    """Whether the value is the same for each of the `batch` samples along the axis."""
    if axis >= len(size) or size[axis] != batch:
        return False
    tensor = next((one for one in graph.initializer if one.name == name), None)
    if batch == 1 or tensor is None:
        return batch == 1 or any(
            name in node.output and node.op_type == "Expand" for node in graph.node
        )
    array = numpy_helper.to_array(tensor)
    return bool(np.all(array == np.take(array, [0], axis=axis)))


def _sample_shape(
    graph: GraphProto, size: Dims, axis: int, names: Iterator[str]
) -> tuple[list[NodeProto], str]:
    """Nodes that compute the shape with the batch of the graph input at the axis, and its name."""
    shape, batch, target = (next(names) for _ in range(3))
    zero, before, after = (
        _add_constant(graph, next(names), list(numbers))
        for numbers in ([0], size[:axis], size[axis + 1 :])
    )
    nodes = [
        helper.make_node("Shape", [graph_inputs(graph)[0].name], [shape]),
        helper.make_node("Gather", [shape, zero], [batch], axis=0),
        helper.make_node("Concat", [before, batch, after], [target], axis=0),
    ]
    return nodes, target


def _first_entry(
    graph: GraphProto, name: str, axis: int, names: Iterator[str]
) -> tuple[NodeProto, str]:
    """A node that takes the first entry of a value along the axis, and its output's name."""
    first, *limits = (next(names) for _ in range(4))
    for limit, number in zip(limits, (0, 1, axis), strict=True):
        _add_constant(graph, limit, [number])
    return helper.make_node("Slice", [name, *limits], [first]), first


_REWRITERS: dict[str, Rewriter] = {"Reshape": _reshape, "Expand": _expand, "Concat": _concat}


def _known(shape: Sequence[int | None] | None) -> Dims | None:
    """The shape if every size is known and positive."""
    if shape is None or not all(shape):
        return None
    return tuple(size for size in shape if size)


def _carrier(shape: Dims) -> int | None:
    """The one axis whose size carries the batch."""
    axes = [axis for axis, size in enumerate(shape) if size and size % _PRIME == 0]
    return axes[0] if len(axes) == 1 else None


def _resolve(target: Sequence[int], source: Dims, *, copies: bool) -> Dims | None:
    """A Reshape's target as plain sizes; None if it does not fit the source."""
    full = [
        source[index] if size == 0 and copies and index < len(source) else size
        for index, size in enumerate(target)
    ]
    known = prod(size for size in full if size != -1)
    if known <= 0 or prod(source) % known:
        return None
    full = [prod(source) // known if size == -1 else size for size in full]
    return tuple(full) if prod(full) == prod(source) else None


def _integers(graph: GraphProto, name: str) -> list[int] | None:
    """The integers of a constant, None for a value known only at run time."""
    tensor = next((one for one in graph.initializer if one.name == name), None)
    return None if tensor is None else [int(one) for one in numpy_helper.to_array(tensor).ravel()]


def _add_constant(graph: GraphProto, name: str, numbers: list[int]) -> str:
    tensor = helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers)
    graph.initializer.append(tensor)
    return name
