"""Turns products of integers, as dynamic quantisation makes them, into products of floats.

Dynamic quantisation computes (q − z)·(w − v) in integers, casts the sums to float and multiplies
them by s·t, where s is the scale of q and t that of w. That equals ((q − z)·s)·((w − v)·t).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from stages.passes.onnx_graph import attribute, constants, fresh_names, producers, replace_nodes

PRODUCTS = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}
Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class _Scaled:
    """An integer product with the cast and the multiplication behind it."""

    product: NodeProto
    cast: NodeProto
    last: NodeProto
    scale: str
    weight: Array


def apply(model: ModelProto) -> None:
    """Dequantises both sides of each integer product with a constant, if its sums are scaled next.

    A product that is used in another way stays.
    """
    if not any(node.op_type in PRODUCTS for node in model.graph.node):
        return
    products = [one for node in model.graph.node if (one := _scaled(model, node)) is not None]
    gone = {name for one in products for node in (one.product, one.cast) for name in node.output}
    names = fresh_names(model.graph, "dequantised")
    nodes: list[NodeProto] = []
    by_end = {one.last.output[0]: one for one in products}
    for node in model.graph.node:
        one = by_end.get(node.output[0])
        if one is not None:
            values, weight = next(names), next(names)
            model.graph.initializer.append(numpy_helper.from_array(one.weight, weight))
            nodes += _as_floats(one, values, weight)
        elif node.output[0] not in gone:
            nodes.append(node)
    replace_nodes(model.graph, nodes)


def _as_floats(one: _Scaled, values: str, weight: str) -> list[NodeProto]:
    """The dequantised left side, and the product of floats in the place of the scaled one."""
    product = one.product
    zero_point = product.input[2:3] if len(product.input) > 2 and product.input[2] else []
    inputs = [product.input[0], one.scale, *zero_point]
    float_product = helper.make_node(
        PRODUCTS[product.op_type], [values, weight], list(one.last.output)
    )
    float_product.attribute.extend(product.attribute)
    return [helper.make_node("DequantizeLinear", inputs, [values]), float_product]


def _scaled(model: ModelProto, product: NodeProto) -> _Scaled | None:
    """The product with its cast and scaling; None where it is used in another way."""
    if product.op_type not in PRODUCTS:
        return None
    tensors, made_by = constants(model.graph), producers(model.graph)
    cast = _only_reader(model, product.output[0])
    if cast is None or cast.op_type != "Cast" or attribute(cast, "to", 0) != TensorProto.FLOAT:
        return None
    last = _only_reader(model, cast.output[0])
    if last is None or last.op_type != "Mul" or product.input[1] not in tensors:
        return None
    (both,) = [name for name in last.input if name != cast.output[0]] or [""]
    scales = made_by.get(both)
    if scales is None or scales.op_type != "Mul":
        return None
    of_weight = [name for name in scales.input if name in tensors]
    of_input = [name for name in scales.input if name not in tensors]
    if len(of_weight) != 1 or not _is_scale_of(made_by, of_input[0], product.input[0]):
        return None
    weight = _weight(product, tensors, numpy_helper.to_array(tensors[of_weight[0]]))
    return None if weight is None else _Scaled(product, cast, last, of_input[0], weight)


def _is_scale_of(made_by: dict[str, NodeProto], scale: str, quantised: str) -> bool:
    """Whether one DynamicQuantizeLinear gives both, so that the scale is a single number."""
    node = made_by.get(scale)
    return (
        node is not None
        and node.op_type == "DynamicQuantizeLinear"
        and list(node.output[:2]) == [quantised, scale]
    )


def _weight(product: NodeProto, tensors: dict[str, TensorProto], scale: Array) -> Array | None:
    """The dequantised weight; None if scale or zero point fit no output channel."""
    stored = numpy_helper.to_array(tensors[product.input[1]]).astype(np.float32)
    zero_name = product.input[3] if len(product.input) > 3 else ""
    if zero_name and zero_name not in tensors:
        return None
    zero = numpy_helper.to_array(tensors[zero_name]) if zero_name else np.zeros((), np.float32)
    axis = 0 if product.op_type == "ConvInteger" else stored.ndim - 1
    per_channel = [1] * stored.ndim
    per_channel[axis] = -1
    if any(one.size not in (1, stored.shape[axis]) for one in (zero, scale)):
        return None
    parts = [one.astype(np.float32).reshape(per_channel) for one in (zero, scale)]
    return np.asarray((stored - parts[0]) * parts[1], np.float32)


def _only_reader(model: ModelProto, name: str) -> NodeProto | None:
    """The one node that reads the value, if the value is not a graph output."""
    readers = [node for node in model.graph.node if name in node.input]
    is_output = any(value.name == name for value in model.graph.output)
    return readers[0] if len(readers) == 1 and not is_output else None
