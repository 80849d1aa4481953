"""A sound classifier of five nodes, and ways to lengthen it or to give it other attributes."""

from __future__ import annotations

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

MIXING = np.linspace(-1, 1, 25, dtype=np.float32).reshape(5, 5) ** 2
"""A last layer from five numbers to five classes."""


def info(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    """The type of a value of that shape."""
    return helper.make_tensor_value_info(name, kind, shape)


def tiny() -> ModelProto:
    """A sound classifier: convolution, ReLU, pooling, flatten and a matrix product."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["maps"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["maps"], ["kept"]),
        helper.make_node("GlobalAveragePool", ["kept"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "matrix"], ["logits"]),
    ]
    weights = [
        numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "kernel"),
        numpy_helper.from_array(np.ones((4, 5), np.float32), "matrix"),
    ]
    graph = helper.make_graph(
        *(nodes, "tiny", [info("x", "batch", 3, 8, 8)], [info("logits", "batch", 5)], weights)
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def append(model: ModelProto, *nodes: NodeProto, **constants: object) -> None:
    """Appends nodes that lead from `logits` to `last`, which a further last layer reads."""
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name) for name, value in constants.items()
    )
    model.graph.initializer.append(numpy_helper.from_array(MIXING, "mixing"))
    model.graph.node.extend([*nodes, helper.make_node("MatMul", ["last", "mixing"], ["scores"])])
    model.graph.output[0].name = "scores"


def set_attribute(model: ModelProto, name: str, value: object) -> None:
    """Gives the convolution that attribute."""
    node = model.graph.node[0]
    kept = [one for one in node.attribute if one.name != name]
    changed = [helper.make_attribute(one.name, list(one.ints)) for one in kept]
    node.ClearField("attribute")
    node.attribute.extend([*changed, helper.make_attribute(name, value)])


def branch(name: str, *tensors: TensorProto) -> GraphProto:
    """A graph for an If that rectifies the logits."""
    nodes = [helper.make_node("Relu", ["logits"], [name])]
    return helper.make_graph(nodes, name, [], [info(name, "batch", 5)], tensors)


def nest(model: ModelProto, levels: int) -> None:
    """Rectifies the logits in an If in an If, that many times."""
    inner = branch("deep")
    for level in range(levels):
        name = f"level{level}"
        branches = {"then_branch": inner, "else_branch": branch(f"other{level}")}
        node = helper.make_node("If", ["yes"], [name], **branches)
        inner = helper.make_graph([node], name, [], [info(name, "batch", 5)])
    branches = {"then_branch": inner, "else_branch": branch("other")}
    append(model, helper.make_node("If", ["yes"], ["last"], **branches), yes=True)
