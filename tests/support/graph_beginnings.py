"""Ways in which a graph may begin before the image `x` of the demo models (batch, 1, 16, 16).

Each is the type and shape of the input `raw`, a text of nodes from `raw` to `x`, and what is done
to images to feed them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

Images = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What stands before the image."""

    text: str
    given: Callable[[Images], Images]
    kind: int = TensorProto.FLOAT
    shape: tuple[int | str, ...] = ("batch", 1, 16, 16)


def _bytes(images: Images) -> Images:
    return np.rint(images * 255).astype(np.float32)


def _last(images: Images) -> Images:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


BEGINNINGS = {
    "identity": Beginning(text="x = Identity(raw)", given=lambda images: images),
    "0 to 255": Beginning(text="x = Div(raw, bytes)", given=lambda images: images * 255),
    "mean and deviation": Beginning(
        text="d = Mul(raw, half) x = Add(d, half)", given=lambda images: images * 2 - 1
    ),
    "channels last": Beginning(
        text="x = Transpose <perm = [0, 3, 1, 2]> (raw)",
        given=_last,
        shape=("batch", 16, 16, 1),
    ),
    "bytes": Beginning(
        text="f = Cast <to = 1> (raw) x = Div(f, bytes)", given=_bytes, kind=TensorProto.UINT8
    ),
    "bytes, channels last": Beginning(
        text="f = Cast <to = 1> (raw) d = Div(f, bytes) x = Transpose <perm = [0, 3, 1, 2]> (d)",
        given=lambda images: _last(_bytes(images)),
        kind=TensorProto.UINT8,
        shape=("batch", 16, 16, 1),
    ),
    "whole numbers": Beginning(
        text="f = Cast <to = 1> (raw) x = Div(f, bytes)", given=_bytes, kind=TensorProto.INT32
    ),
    "rounded in the graph": Beginning(
        text="r = Round(raw) x = Div(r, bytes)", given=lambda images: images * 255
    ),
    "cast in the graph": Beginning(
        text="c = Cast <to = 2> (raw) f = Cast <to = 1> (c) x = Div(f, bytes)", given=_bytes
    ),
    "floored in the graph": Beginning(text="r = Floor(raw) x = Div(r, bytes)", given=_bytes),
    "clipped": Beginning(text="x = Clip(raw, zero, one)", given=lambda images: images),
    "flat": Beginning(
        text="x = Reshape(raw, picture)",
        given=lambda images: images.reshape(len(images), -1),
        shape=("batch", 256),
    ),
    "padded and cut": Beginning(
        text="p = Pad(raw, around) x = Slice(p, begin, end, axes)", given=lambda images: images
    ),
}
"""Beginnings that give the image itself, or its bytes."""


def begun(model: ModelProto, beginning: Beginning) -> ModelProto:
    """A copy of a model whose graph begins so."""
    copy = ModelProto()
    copy.CopyFrom(model)
    image = copy.graph.input[0].name
    nodes = [
        onnx.parser.parse_node(line) for line in beginning.text.replace(") ", ")\n").splitlines()
    ]
    for place, node in enumerate(nodes):
        node.output[:] = [image if one == "x" else f"begin_{one}" for one in node.output]
        made = {name for earlier in nodes[:place] for name in earlier.output}
        node.input[:] = [f"begin_{one}" if f"begin_{one}" in made else one for one in node.input]
    read = {name for node in nodes for name in node.input}
    for name, value in _numbers().items():
        if name in read:
            copy.graph.initializer.append(numpy_helper.from_array(value, name))
    source = helper.make_tensor_value_info("raw", beginning.kind, beginning.shape)
    copy.graph.input[0].CopyFrom(source)
    later = list(copy.graph.node)
    del copy.graph.node[:]
    copy.graph.node.extend([*nodes, *later])
    return copy


def _numbers() -> dict[str, npt.NDArray[np.generic]]:
    floats = {"bytes": 255, "half": 0.5, "zero": 0, "one": 1}
    return {
        **{name: np.array(value, np.float32) for name, value in floats.items()},
        "picture": np.array([-1, 1, 16, 16]),
        "around": np.array([0, 0, 2, 2, 0, 0, 2, 2]),
        "begin": np.array([2, 2]),
        "end": np.array([18, 18]),
        "axes": np.array([2, 3]),
    }
