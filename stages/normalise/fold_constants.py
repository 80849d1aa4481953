"""Computes what depends on constants alone."""

from __future__ import annotations

from typing import Protocol

from onnx import ModelProto
from onnx_ir.serde import SerdeError
from onnxscript import optimizer

from stages.errors import ModelRefused

_LARGEST = 2**27  # elements; a weight of 512 MB may still be transposed beforehand
_GROWING = {"ConstantOfShape", "Expand", "Tile", "Range", "EyeLike", "Resize", "Pad", "OneHot"}


class _Node(Protocol):
    op_type: str


def apply(model: ModelProto) -> None:
    """Replaces constant subexpressions by their values and drops the nodes nobody reads.

    Operators that make much out of little stay, so that folding never allocates more than the file
    holds. Nothing is fused: BatchNormalization stays.

    Raises:
        ModelRefused: the graph holds something that is not of the standard.
    """
    try:
        optimizer.fold_constants(
            model,
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
    return False if node.op_type in _GROWING else None
