"""Computes what depends on constants alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Protocol

from onnx import ModelProto
from onnx_ir import Value
from onnx_ir.serde import SerdeError
from onnxscript import optimizer

from stages.errors import ModelRefused

_LARGEST = 2**27  # elements; a weight of 512 MB may still be transposed beforehand
_SMALL = 2**16  # elements
_GROWING = {"ConstantOfShape", "Expand", "Tile", "Range", "EyeLike", "Resize", "Pad", "OneHot"}


class _Node(Protocol):
    op_type: str
    inputs: Sequence[Value | None]


def apply(model: ModelProto) -> None:
    """Replaces constant subexpressions by their values and drops the nodes that nothing reads.

    Operators with a large output for a small input stay, so that folding allocates no more than
    the file contains. Nothing is fused: BatchNormalization stays.

    Raises:
        ModelRefused: the graph contains something outside the standard.
    """
    try:
        optimizer.fold_constants(
            model,
            onnx_shape_inference=True,
            input_size_limit=_LARGEST,
            output_size_limit=_LARGEST,
            should_fold=_keep_growing,
        )
        optimizer.remove_unused_nodes(model)
    except SerdeError as error:
        cause = error.__cause__ or error
        raise ModelRefused(
            f"cannot read the model's graph: {type(cause).__name__}; export the model again"
        ) from error


def _keep_growing(node: _Node) -> bool | None:
    """Whether to fold the node; a small constant of one value is folded: exporters pad with it."""
    if node.op_type != "ConstantOfShape":
        return False if node.op_type in _GROWING else None
    shape = node.inputs[0].const_value if node.inputs and node.inputs[0] else None
    return shape is not None and 0 <= prod(shape.numpy().ravel().tolist()) <= _SMALL
