"""Merges the linear layers that a model ends in, with nothing between them, into one.

A last layer that only scales, shifts or mixes scores that another layer has computed decides
nothing by itself; what is learned from the last layer's weights must be learned from their product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, helper, numpy_helper

from stages.passes.onnx_graph import (
    attribute,
    constants,
    fresh_names,
    inferred,
    producers,
    replace_nodes,
    shape_of,
    values,
)

Array = npt.NDArray[np.float64]
_Linear = tuple[Array | None, Array]
"""A weight and a bias."""


@dataclass(frozen=True, kw_only=True)
class _Affine:
    """x · weight + bias of a value (N, D), as one node computes it.

    The weight is a matrix, or a factor (D,) of each number; None leaves x as it is.
    """

    node: NodeProto
    source: str
    weight: Array | None
    bias: Array


def apply(model: ModelProto) -> None:
    """Replaces the affine nodes before the output by one Gemm, where they are more than one layer.

    A value that anything else reads ends the merging, and so does one that is not (batch, numbers).
    """
    chain = _chain(model)
    layers = sum(one.weight is not None and one.weight.ndim == 2 for one in chain)
    plain = [one.node.op_type for one in chain] == ["Add", "MatMul"]
    if not layers or len(chain) < 2 or plain:
        return
    weight, bias = _product(chain[::-1])
    names = fresh_names(model.graph, "last_layer")
    inputs = [chain[-1].source, _stored(model, next(names), weight)]
    inputs.append(_stored(model, next(names), bias))
    merged = helper.make_node("Gemm", inputs, [model.graph.output[0].name])
    gone = [one.node for one in chain]
    replace_nodes(model.graph, [*(node for node in model.graph.node if node not in gone), merged])


def _chain(model: ModelProto) -> list[_Affine]:
    """The affine nodes from the output back, up to the first layer with weights of all."""
    typed, made_by = values(inferred(model).graph), producers(model.graph)
    known = {name: numpy_helper.to_array(one) for name, one in constants(model.graph).items()}
    read = [name for node in model.graph.node for name in node.input]
    chain: list[_Affine] = []
    name = model.graph.output[0].name
    while (node := made_by.get(name)) is not None and (not chain or read.count(name) == 1):
        affine = _affine(node, known)
        value = typed.get(affine.source) if affine else None
        if affine is None or value is None or len(shape_of(value) or ()) != 2:
            break
        chain.append(affine)
        name = affine.source
    while chain and (chain[-1].weight is None or chain[-1].weight.ndim == 1):
        chain.pop()
    return chain


def _affine(node: NodeProto, known: Mapping[str, npt.NDArray[np.generic]]) -> _Affine | None:
    """What a node does, if it is a linear layer or a scale or shift of each number."""
    numbers = [known[name].astype(np.float64) for name in node.input if name in known]
    data = [name for name in node.input if name and name not in known]
    first = bool(data) and node.input[0] == data[0]
    rule = _RULES.get(node.op_type)
    if rule is None or len(data) != 1 or not (first or node.op_type in ("Add", "Mul")):
        return None
    found = rule(node, numbers)
    return found and _Affine(node=node, source=data[0], weight=found[0], bias=found[1])


def _batch_norm(node: NodeProto, numbers: list[Array]) -> _Linear | None:
    if len(numbers) != 4:
        return None
    scale, shift, mean, variance = numbers
    epsilon = next((one.f for one in node.attribute if one.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    return factor, shift - mean * factor


def _matmul(_node: NodeProto, numbers: list[Array]) -> _Linear | None:
    weight = numbers[0] if numbers else np.zeros(0)
    return (weight, np.zeros(weight.shape[1])) if weight.ndim == 2 else None


def _gemm(node: NodeProto, numbers: list[Array]) -> _Linear | None:
    if attribute(node, "transA", 0) or len(numbers) != len([one for one in node.input if one]) - 1:
        return None
    factors = {one.name: one.f for one in node.attribute}
    weight = numbers[0].T if attribute(node, "transB", 0) else numbers[0]
    bias = numbers[1] if len(numbers) > 1 else np.zeros(1)
    if bias.ndim > 1 and len(bias) != 1:  # one of each sample, not of each number
        return None
    shift = np.broadcast_to(bias.ravel() * factors.get("beta", 1.0), (weight.shape[1],))
    return weight * factors.get("alpha", 1.0), shift


def _elementwise(node: NodeProto, numbers: list[Array]) -> _Linear | None:
    """A scale or shift by one number, or by one of each class."""
    number = numbers[0] if len(numbers) == 1 else np.zeros((2, 2))
    if number.ndim > 2 or (number.ndim == 2 and number.shape[0] != 1):
        return None
    flat = number.ravel()
    if node.op_type in ("Add", "Sub"):
        return None, flat if node.op_type == "Add" else -flat
    return flat if node.op_type == "Mul" else 1 / flat, np.zeros(1)


_RULES: dict[str, Callable[[NodeProto, list[Array]], _Linear | None]] = {
    "BatchNormalization": _batch_norm,
    "MatMul": _matmul,
    "Gemm": _gemm,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _elementwise),
}


def _product(layers: list[_Affine]) -> tuple[Array, Array]:
    """The weight and bias of layers that follow one another; the first has a matrix."""
    weight, bias = np.asarray(layers[0].weight), layers[0].bias
    for layer in layers[1:]:
        if layer.weight is not None:
            scales = layer.weight.ndim == 1
            weight = weight * layer.weight if scales else weight @ layer.weight
            bias = bias * layer.weight if scales else bias @ layer.weight
        bias = bias + layer.bias
    return weight, np.broadcast_to(bias, (weight.shape[1],))


def _stored(model: ModelProto, name: str, value: Array) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    return name
