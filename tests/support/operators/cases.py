"""A small graph with its input, and what onnxruntime and the twin compute for it.

A case is a line of ONNX text from the input `x` to the output `y`, with an opset and constants. A
constant whose name begins with `late` reaches the twin only when it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import ModelProto, helper, numpy_helper, parser

from stages.converters.registration import versions
from stages.passes.known_opset import NEWEST_OPSET, OLDEST_OPSET
from stages.twin.convert import build_module

Array = npt.NDArray[Any]

FAR = 2**63 - 1  # how exporters write an open end


def draw(*shape: int) -> Array:
    """Standard normal float32 numbers, the same for the same shape only."""
    return np.random.default_rng((17, *shape)).standard_normal(shape).astype(np.float32)


def spaced(*shape: int) -> Array:
    """Numbers around zero in random order, no two closer than 0.01: no maximum is in doubt."""
    numbers = np.random.default_rng(5).permutation(int(np.prod(shape))).reshape(shape)
    return ((numbers - numbers.size // 2) / 100 + 0.005).astype(np.float32)


def ints(*numbers: int) -> Array:
    """A vector of int64."""
    return np.array(numbers, np.int64)


def real(number: float) -> Array:
    """A float32 scalar."""
    return np.array(number, np.float32)


IMAGES = spaced(2, 4, 7, 9)
ROWS = draw(3, 5)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One small graph and the input it is fed."""

    text: str
    opset: int
    x: Array
    constants: dict[str, Array] = field(default_factory=dict)

    def __str__(self) -> str:
        """The graph's text, which names the test."""
        return f"{self.opset}: {self.text} {list(self.x.shape)}"


def case(text: str, x: Array = IMAGES, opset: int = 17, **constants: Array) -> Case:
    """The case with those constants."""
    return Case(text=text, opset=opset, x=x, constants=constants)


def model_of(one: Case) -> ModelProto:
    """The case as a model whose first axis is free and whose output is of unstated type."""
    imports = f'<ir_version: 9, opset_import: ["": {one.opset}]>'
    model = parser.parse_model(f"{imports} g (float[batch] x) => (float[batch] y) {{ {one.text} }}")
    kind = helper.np_dtype_to_tensor_dtype(one.x.dtype)
    shape = ("batch", *one.x.shape[1:])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, shape))
    model.graph.output[0].CopyFrom(helper.make_empty_tensor_value_info("y"))
    nodes = [node for name, value in one.constants.items() for node in _late(name, value)]
    nodes += list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, _stored(name)) for name, value in one.constants.items()
    )
    return model


def _stored(name: str) -> str:
    return f"stored_{name}" if name.startswith("late") else name


def _late(name: str, value: Array) -> list[onnx.NodeProto]:
    """Nodes that add a zero made of x to a stored constant, so that no one knows it before."""
    if not name.startswith("late"):
        return []
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return [
        helper.make_node("Flatten", ["x"], [f"{name}_flat"], axis=0),
        helper.make_node("ArgMax", [f"{name}_flat"], [f"{name}_place"], axis=1, keepdims=0),
        helper.make_node("Cast", [f"{name}_place"], [f"{name}_one"], to=kind),
        helper.make_node("Sub", [f"{name}_one", f"{name}_one"], [f"{name}_zeros"]),
        helper.make_node("Add", [f"stored_{name}", f"{name}_zeros"], [f"{name}_sum"]),
        helper.make_node("Shape", [f"stored_{name}"], [f"{name}_shape"]),
        helper.make_node("Reshape", [f"{name}_sum", f"{name}_shape"], [name]),
    ]


def by_onnxruntime(model: ModelProto, x: Array) -> Array:
    """What onnxruntime computes on the CPU, without its own rewriting of the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": x})[0])


def by_twin(model: ModelProto, x: Array) -> Array:
    """What the torch twin of the model computes."""
    with torch.no_grad():
        return np.asarray(build_module(model)(torch.from_numpy(x)).numpy())


def at_versions(
    operator: str, text: str, x: Array = ROWS, since: int = OLDEST_OPSET, until: int = 0, **k: Array
) -> list[Case]:
    """The case at the first opset of each version of the operator between two opsets."""
    borders = [*versions(operator), NEWEST_OPSET + 1]
    spans = pairwise(borders)
    firsts = [max(first, since) for first, following in spans if max(first, since) < following]
    return [case(text, x, opset, **k) for opset in firsts if opset <= (until or NEWEST_OPSET)]


def operators_of(one: Case) -> list[str]:
    """The operators that its text names, in order."""
    header = f'<ir_version: 9, opset_import: ["": {one.opset}]> g (float x) => (float y)'
    return [node.op_type for node in parser.parse_model(f"{header} {{ {one.text} }}").graph.node]
