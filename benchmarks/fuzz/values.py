"""Changes of what nodes read and write: tensors, types, names, ends and versions."""

from __future__ import annotations

import math
from random import Random

from onnx import ModelProto, TensorProto, helper

from benchmarks.fuzz.absurd import INTEGERS, NAMES, SIZES
from benchmarks.fuzz.nodes import value_names


def _tensors(model: ModelProto) -> list[TensorProto]:
    held = [one.t for node in model.graph.node for one in node.attribute if one.HasField("t")]
    return [*model.graph.initializer, *held]


def change_tensor(model: ModelProto, random: Random) -> None:
    """A tensor lies about its size, its type or its data, or its numbers become absurd."""
    tensors = _tensors(model)
    if not tensors:
        return
    tensor, way = random.choice(tensors), random.randrange(6)
    if way == 0:
        tensor.dims.append(random.choice(SIZES))
    elif way == 1 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice((*SIZES, -1, -(2**62)))
    elif way == 2:
        tensor.data_type = random.randrange(26)
    elif way == 3:
        tensor.raw_data = tensor.raw_data[: random.randrange(1 + len(tensor.raw_data))]
    elif way == 4:
        tensor.raw_data = random.choice((b"\xff", b"\x7f", b"\0")) * len(tensor.raw_data)
    else:
        _put_outside(tensor, random)


def _put_outside(tensor: TensorProto, random: Random) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    location = random.choice(("/etc/passwd", "../x", "/dev/zero", "/dev/stdin", "model.onnx", ""))
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value=str(random.choice(INTEGERS)))


def grow_tensor(model: ModelProto, random: Random) -> None:
    """A tensor of another size whose data fit: what reads it must cope."""
    tensors = [one for one in _tensors(model) if one.data_type == TensorProto.FLOAT]
    if not tensors:
        return
    tensor = random.choice(tensors)
    dims = [random.choice((0, 1, 2, 3, 64)) for _ in range(random.randrange(5))]
    new = helper.make_tensor(tensor.name, 1, dims, b"\0" * 4 * math.prod(dims), raw=True)
    tensor.CopyFrom(new)


def change_type(model: ModelProto, random: Random) -> None:
    """Input, output or an inner value says another shape or type."""
    value = random.choice([*model.graph.input, *model.graph.output, *model.graph.value_info[:3]])
    kind = value.type.tensor_type
    way = random.randrange(4)
    if way == 0:
        kind.elem_type = random.randrange(26)
    elif way == 1:
        kind.shape.dim.add().dim_value = random.choice(SIZES)
    elif way == 2 and kind.shape.dim:
        kind.shape.dim[random.randrange(len(kind.shape.dim))].dim_value = random.choice(SIZES)
    else:
        kind.ClearField("shape")


def rename(model: ModelProto, random: Random) -> None:
    """A value gets a strange name, or the name of another, everywhere."""
    values = value_names(model)
    old, new = random.choice(values), random.choice((*NAMES, *values))
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for one in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        one.name = new if one.name == old else one.name


def change_ends(model: ModelProto, random: Random) -> None:
    """Another input, another output, the same twice, or none."""
    ends = random.choice((model.graph.input, model.graph.output))
    way = random.randrange(4) if ends else 3
    if way == 0:
        ends.append(ends[0])
    elif way == 1:
        del ends[0]
    elif way == 2:
        ends[0].name = random.choice(value_names(model))
    else:
        ends.append(helper.make_tensor_value_info(random.choice(value_names(model)), 1, ["n", 5]))


def change_versions(model: ModelProto, random: Random) -> None:
    """Another IR version or opset."""
    version = random.choice((*INTEGERS, *range(6, 26)))
    if random.random() < 0.2 or not model.opset_import:
        model.ir_version = version
    else:
        model.opset_import[0].version = version
