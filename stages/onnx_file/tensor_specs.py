"""What a graph says of its inputs and outputs: names, shapes and element types."""

from __future__ import annotations

from onnx import TensorProto, ValueInfoProto

from stages.passes.onnx_graph import shape_of
from stages.types import TensorSpec


def spec_of(value: ValueInfoProto) -> TensorSpec:
    """Name, shape and element type of an input or output, with None for free sizes."""
    return TensorSpec(name=value.name, shape=shape_of(value) or (), dtype=_dtype(value))


def _dtype(value: ValueInfoProto) -> str:
    """numpy's name of the element type, else ONNX's."""
    if not value.type.HasField("tensor_type"):
        return "no tensor"
    number = value.type.tensor_type.elem_type
    if number not in TensorProto.DataType.values():
        return f"unknown type {number}"
    name = str(TensorProto.DataType.Name(number))
    return {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower())


def describe(value: ValueInfoProto) -> str:
    """The same in words."""
    shape = shape_of(value)
    sizes = "of unknown shape" if shape is None else show(shape)
    return f"`{value.name}` {_dtype(value)} {sizes}"


def show(shape: tuple[int | None, ...]) -> str:
    """A shape in words, such as (?, 3, 32, 32)."""
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"
