"""Replaces the numerical operators of the domain `ai.onnx.ml` by standard operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from stages.errors import ModelRefused
from stages.passes.onnx_graph import (
    constants,
    fresh_names,
    inferred,
    opset,
    replace_nodes,
    uses,
    values,
)

_Attribute = int | list[int]

DOMAIN = "ai.onnx.ml"
_PROBABILITIES = {"NONE": "Identity", "LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}


def apply(model: ModelProto) -> None:
    """Replaces Scaler, Normalizer, ArrayFeatureExtractor and LinearClassifier.

    A LinearClassifier whose label is read stays, and so does an ArrayFeatureExtractor with computed
    indices.

    Raises:
        ModelRefused: a LinearClassifier transforms its scores in a way no network does.
    """
    if not any(_lowering(node) for node in model.graph.node):
        return
    types = values(inferred(model).graph)
    floats = {
        name
        for name, value in types.items()
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    write = _Writer(model, floats)
    for node in model.graph.node:
        lower = _lowering(node)
        if lower is None or not lower(write, node):
            write.nodes.append(node)
    replace_nodes(model.graph, write.nodes)


class _Writer:
    """Collects the nodes of the new graph and puts constants into it."""

    def __init__(self, model: ModelProto, floats: set[str]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants = constants(model.graph)
        self.read = uses(model.graph)
        self.version = opset(model)
        self._graph: GraphProto = model.graph
        self._floats = floats
        self._names: Iterator[str] = fresh_names(model.graph, "lowered")

    def node(
        self, operator: str, inputs: list[str], output: str | None = None, **more: _Attribute
    ) -> str:
        """Appends a node and returns the name of its output."""
        name = output or next(self._names)
        node = helper.make_node(operator, inputs, [name])
        node.attribute.extend(helper.make_attribute(key, value) for key, value in more.items())
        self.nodes.append(node)
        return name

    def constant(self, value: npt.ArrayLike, kind: type[np.generic] = np.float32) -> str:
        """Adds an initializer and returns its name."""
        tensor = numpy_helper.from_array(np.asarray(value, kind), next(self._names))
        self._graph.initializer.append(tensor)
        return str(tensor.name)

    def source(self, node: NodeProto) -> str:
        """The node's input in float32, the type in which the whole domain computes."""
        self._floats.update(node.output)
        name = node.input[0]
        return name if name in self._floats else self.node("Cast", [name], to=TensorProto.FLOAT)


def _scaler(write: _Writer, node: NodeProto) -> bool:
    """(x − offset) · scale."""
    attributes = {one.name: one.floats for one in node.attribute}
    moved = write.node("Sub", [write.source(node), write.constant(attributes.get("offset", [0]))])
    write.node("Mul", [moved, write.constant(attributes.get("scale", [1]))], node.output[0])
    return True


def _chosen_features(write: _Writer, node: NodeProto) -> bool:
    """Some columns of x."""
    columns = write.constants.get(node.input[1])
    if columns is None:
        return False
    places = write.constant(numpy_helper.to_array(columns).ravel(), np.int64)
    write.node("Gather", [node.input[0], places], node.output[0], axis=-1)
    return True


def _normalizer(write: _Writer, node: NodeProto) -> bool:
    """Each sample by the sum of its absolute values, its length, or its largest value.

    A sample whose largest value is zero stays as it is.
    """
    x = write.source(node)
    norm = next((one.s.decode() for one in node.attribute if one.name == "norm"), "MAX")
    if norm != "MAX":
        p = {"L1": 1, "L2": 2}[norm]
        write.node("LpNormalization", [x], node.output[0], axis=-1, p=p)
        return True
    if write.version < 18:
        largest = write.node("ReduceMax", [x], axes=[-1], keepdims=1)
    else:
        largest = write.node("ReduceMax", [x, write.constant([-1], np.int64)], keepdims=1)
    is_zero = write.node("Not", [write.node("Cast", [largest], to=TensorProto.BOOL)])
    one_for_zero = write.node("Cast", [is_zero], to=TensorProto.FLOAT)
    divisor = write.node("Add", [largest, one_for_zero])
    write.node("Div", [x, divisor], node.output[0])
    return True


def _linear_classifier(write: _Writer, node: NodeProto) -> bool:
    """Gemm by the coefficients, then the probabilities.

    A single row for two classes gives the scores (1 − z, z), as onnxruntime computes them; its
    probabilities are (sigmoid(−z), sigmoid(z)).
    """
    if node.output[0] in write.read:
        return False
    stored = {one.name: one for one in node.attribute}
    bias = np.array(stored["intercepts"].floats if "intercepts" in stored else [0.0], np.float32)
    rows = np.array(stored["coefficients"].floats, np.float32).reshape(len(bias), -1)
    transform = stored["post_transform"].s.decode() if "post_transform" in stored else "NONE"
    if transform not in _PROBABILITIES:
        raise ModelRefused(
            f"`LinearClassifier` transforms its scores by `{transform}`, expected one of "
            f"{', '.join(_PROBABILITIES)}; export the model with raw scores"
        )
    operator = _PROBABILITIES[transform]
    if len(bias) == 1:
        first = 0.0 if transform == "LOGISTIC" else 1.0
        rows, bias = np.concatenate([-rows, rows]), np.concatenate([first - bias, bias])
        operator = "Sigmoid" if transform == "LOGISTIC" else "Identity"
    scores = write.node(
        "Gemm", [write.source(node), write.constant(rows), write.constant(bias)], transB=1
    )
    attributes = {"axis": 1} if operator == "Softmax" else {}
    write.node(operator, [scores], node.output[1], **attributes)
    return True


_LOWERINGS: dict[str, Callable[[_Writer, NodeProto], bool]] = {
    "Scaler": _scaler,
    "Normalizer": _normalizer,
    "LinearClassifier": _linear_classifier,
    "ArrayFeatureExtractor": _chosen_features,
}


def _lowering(node: NodeProto) -> Callable[[_Writer, NodeProto], bool] | None:
    return _LOWERINGS.get(node.op_type) if node.domain == DOMAIN else None
