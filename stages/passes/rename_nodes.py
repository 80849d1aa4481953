"""Gives every node a name that is safe and unique."""

from __future__ import annotations

from onnx import ModelProto


def apply(model: ModelProto) -> None:
    """Names every node `<operator>_<index>_`; names of values stay.

    The last underscore keeps the name apart from those the converter makes by appending a number.
    """
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}_"
