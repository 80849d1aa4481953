"""Computes what depends on constants alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import Protocol

import numpy as np
from onnx import ModelProto
from onnx_ir import TensorProtocol, Value
from onnx_ir.serde import SerdeError
from onnxscript import optimizer

from stages.errors import ModelRefused
from stages.passes.onnx_graph import graph_inputs, shape_of

_LARGEST = 2**27  # elements; a weight of 512 MB may still be transposed beforehand
_SMALL = 2**16  # elements of one result that is larger than what it is made of
_TOGETHER = 2**22  # elements of all of them
_GROWING = {"ConstantOfShape", "Expand", "Tile", "Range", "EyeLike", "Resize", "Pad", "OneHot"}


class _Node(Protocol):
    op_type: str
    inputs: Sequence[Value | None]


def apply(model: ModelProto) -> None:
    """Replaces constant subexpressions by their values and drops the nodes that nothing reads.

    Of operators with a large output for a small input only those with a small output are computed,
    such as the zeros that exporters expand to a bias, so that folding allocates little more than
    the file contains. Nothing is fused: BatchNormalization stays.

    Raises:
        ModelRefused: the graph contains something outside the standard.
    """
    shapes = [shape_of(each) or (None,) for each in graph_inputs(model.graph)]
    try:
        optimizer.fold_constants(
            model,
            onnx_shape_inference=True,
            input_size_limit=_LARGEST,
            output_size_limit=_LARGEST,
            should_fold=_Growing(shapes[0][0] if shapes else None),
        )
        optimizer.remove_unused_nodes(model)
    except SerdeError as error:
        cause = error.__cause__ or error
        raise ModelRefused(
            f"cannot read the model's graph: {type(cause).__name__}; export the model again"
        ) from error


class _Growing:
    """Whether to fold a node that makes much out of little: while results stay few, and no batch.

    A size that may be the batch is left to `free_batch`, which finds it in the node's target.
    """

    def __init__(self, batch: int | None) -> None:
        self._batch, self._left = batch, _TOGETHER

    def __call__(self, node: _Node) -> bool | None:
        """Yes or no for such a node; None, which leaves it to the optimiser, for any other."""
        if node.op_type not in _GROWING:
            return None
        sizes = _sizes(node)
        if sizes is None or (node.op_type != "ConstantOfShape" and sizes[:1] == [self._batch]):
            return False
        count = prod(sizes)
        if not 0 <= count <= min(_SMALL, self._left):
            return False
        self._left -= count
        return True


def _sizes(node: _Node) -> list[int] | None:
    """The shape of the node's result, found without computing it; None where it is not known."""
    known = [one.const_value for one in node.inputs if one is not None]
    values = [one for one in known if one is not None]
    rule = _SIZES.get(node.op_type)
    if rule is None or len(values) < len(node.inputs):
        return None
    try:
        return rule(*values)
    except (TypeError, ValueError, ArithmeticError):  # they do not fit together
        return None


def _expanded(data: TensorProtocol, target: TensorProtocol) -> list[int]:
    return list(np.broadcast_shapes(tuple(data.numpy().shape), tuple(_whole(target))))


def _tiled(data: TensorProtocol, repeats: TensorProtocol) -> list[int]:
    pairs = zip(data.numpy().shape, _whole(repeats), strict=True)
    return [size * times for size, times in pairs]


def _counted(start: TensorProtocol, limit: TensorProtocol, delta: TensorProtocol) -> list[int]:
    first, end, step = (float(one.numpy()) for one in (start, limit, delta))
    return [max(0, ceil((end - first) / step))]


def _whole(tensor: TensorProtocol) -> list[int]:
    return [int(size) for size in tensor.numpy().ravel()]


_SIZES: dict[str, Callable[..., list[int]]] = {
    "ConstantOfShape": _whole,
    "Expand": _expanded,
    "Tile": _tiled,
    "Range": _counted,
}
"""The shape of what an operator makes, from its constant inputs."""
