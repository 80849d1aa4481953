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

from stages.passes.onnx_graph import (
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
    """Makes the batch of the graph input free; leaves the model alone if it cannot prove it."""
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
    output_shape = shape_of(output)
    if output_shape and output_shape[0] == _PRIME and _PRIME not in output_shape[1:]:
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


Shapes = dict[str, Dims | None]


class _View:
    """A graph while the batch is freed: shapes at the prime batch, and where in its axis it sits.

    `inner` gives for each value how many entries of its carrying axis belong to one sample step;
    `batch` is the size that was written into the graph.
    """

    def __init__(
        self, graph: GraphProto, shapes: Shapes, inner: dict[str, int], batch: int
    ) -> None:
        self.graph, self.shapes, self.inner, self.batch = graph, shapes, inner, batch
        self.names = fresh_names(graph, "free_batch")


def _rewrite(model: ModelProto, batch: int) -> bool:
    """Frees every place whose input already carries the batch; True if there was one."""
    graph = model.graph
    shapes = {
        name: _fixed(shape_of(value)) for name, value in values(inferred(model).graph).items()
    }
    shapes |= {one.name: tuple(one.dims) for one in graph.initializer}
    view = _View(graph, shapes, _inner_sizes(graph, shapes), batch)
    nodes: list[NodeProto] = []
    stale: set[str] = set()
    for node in graph.node:
        rewrite = None if stale & set(node.input) else _REWRITERS.get(node.op_type)
        before = None if rewrite is None else rewrite(node, view)
        if before is not None or stale & set(node.input):
            stale.update(node.output)  # what follows waits until its shapes are known again
        nodes += [*(before or ()), node]
    if stale:
        replace_nodes(graph, nodes)
    return bool(stale)


def _inner_sizes(graph: GraphProto, shapes: Shapes) -> dict[str, int]:
    """How many entries of the axis that carries the batch belong to one sample step, by value.

    1 where the batch is the fastest part of its axis, as in (sequence · batch), and more where
    other axes were merged behind it, as in (batch · windows).
    """
    inner = {graph_inputs(graph)[0].name: 1}
    for node in graph.node:
        source = next((name for name in node.input if name in inner), None)
        if source is None:
            continue
        before = _behind_carrier(shapes.get(source))
        for name in node.output:
            after = _behind_carrier(shapes.get(name))
            if before is None or after is None:
                continue
            merges = node.op_type in ("Reshape", "Flatten")
            inner[name] = max(1, inner[source] * before // after) if merges else inner[source]
    return inner


def _behind_carrier(shape: Dims | None) -> int | None:
    """Entries of all axes behind the one that carries the batch; None where no axis does."""
    axis = None if shape is None else _carrier(shape)
    return None if shape is None or axis is None else prod(shape[axis + 1 :])


Rewriter = Callable[[NodeProto, _View], list[NodeProto] | None]
"""Frees a node in place; the nodes to put before it, or None where there is nothing to free."""


def _reshape(node: NodeProto, view: _View) -> list[NodeProto] | None:
    """Puts −1 at the entry of a constant target that holds the batch, sizes everywhere else."""
    source, target = view.shapes.get(node.input[0]), _integers(view.graph, node.input[1])
    inner, batch = view.inner.get(node.input[0]), view.batch
    if source is None or target is None or inner is None:
        return None
    at_batch = tuple(size // _PRIME * batch if size % _PRIME == 0 else size for size in source)
    full = _resolve(target, at_batch, copies=attribute(node, "allowzero", 0) == 0)
    entry = None if full is None else batch_entry(source, full, batch, inner)
    if full is None or entry is None:
        return None
    freed = [-1 if index == entry else size for index, size in enumerate(full)]
    if freed == target:
        return None
    node.input[1] = _add_constant(view.graph, next(view.names), freed)
    return []


def batch_entry(source: Dims, target: Dims, batch: int, inner: int) -> int | None:
    """The entry of a Reshape's target (sizes at batch `batch`) that holds the batch.

    `source` is the input's shape at the prime batch, of whose carrying axis `inner` entries belong
    to one sample step. In row-major order the batch fits into an entry whose step divides that of a
    sample and whose span is a multiple of `batch` of them. An entry that is the batch itself wins,
    then the innermost that is not the last.
    """
    behind = _behind_carrier(source)
    if behind is None:
        return None
    sample = behind * inner
    steps = [prod(target[index + 1 :]) for index in range(len(target))]
    for index, size in enumerate(target):
        if size == batch and steps[index] == sample:
            return index
    spans = [
        index
        for index, size in enumerate(target)
        if sample % steps[index] == 0 and steps[index] * size % (sample * batch) == 0
    ]
    last = len(target) - 1
    return max((index for index in spans if index < last), default=spans[-1] if spans else None)


def _expand(node: NodeProto, view: _View) -> list[NodeProto] | None:
    """Lets a constant Expand keep the batch its input already has: 1 in place of B."""
    source, target = view.shapes.get(node.input[0]), _integers(view.graph, node.input[1])
    axis = None if source is None else _carrier(source)
    if source is None or target is None or axis is None:
        return None
    entry = axis - len(source) + len(target)
    if entry < 0 or view.batch == 1 or target[entry] != view.batch:
        return None
    freed = [1 if index == entry else size for index, size in enumerate(target)]
    node.input[1] = _add_constant(view.graph, next(view.names), freed)
    return []


def _concat(node: NodeProto, view: _View) -> list[NodeProto] | None:
    """Repeats inputs that do not depend on the batch, such as a class token, once per sample."""
    graph, batch, names = view.graph, view.batch, view.names
    sizes = [view.shapes.get(name) for name in node.input]
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


def _elementwise(node: NodeProto, view: _View) -> list[NodeProto] | None:
    """Takes one row of a constant that has equal ones, such as positions or a mask."""
    sizes = [view.shapes.get(name) for name in node.input]
    carried = {axis - len(size) for size in sizes if size and (axis := _carrier(size)) is not None}
    if len(carried) != 1 or view.batch == 1:
        return None
    (behind,) = carried
    rewritten = False
    for index, name in enumerate(node.input):
        tensor = next((one for one in view.graph.initializer if one.name == name), None)
        axis = 0 if tensor is None else len(tensor.dims) + behind
        if tensor is None or axis < 0:
            continue
        if _repeats(name, view.graph, tuple(tensor.dims), axis, view.batch):
            row = np.take(numpy_helper.to_array(tensor), [0], axis=axis)
            node.input[index] = next(view.names)
            view.graph.initializer.append(numpy_helper.from_array(row, node.input[index]))
            rewritten = True
    return [] if rewritten else None


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


_REWRITERS: dict[str, Rewriter] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "Concat": _concat,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Where"), _elementwise),
}


def _fixed(shape: Sequence[int | None] | None) -> Dims | None:
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
    product = prod(size for size in full if size != -1)
    if product <= 0 or prod(source) % product:
        return None
    full = [prod(source) // product if size == -1 else size for size in full]
    return tuple(full) if prod(full) == prod(source) else None


def _integers(graph: GraphProto, name: str) -> list[int] | None:
    """The integers of a constant, None for a value known only at run time."""
    tensor = next((one for one in graph.initializer if one.name == name), None)
    return None if tensor is None else [int(one) for one in numpy_helper.to_array(tensor).ravel()]


def _add_constant(graph: GraphProto, name: str, numbers: list[int]) -> str:
    tensor = helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers)
    graph.initializer.append(tensor)
    return name
