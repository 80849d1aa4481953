"""Ways in which a graph may end after its scores `z` (batch, K), without moving a decision.

Each is a text of nodes that give `y`. `K` in it is the number of classes, `N` any other number.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

KEEPING = {
    "identity": "y = Identity(z)",
    "softmax": "y = Softmax <axis = -1> (z)",
    "log softmax": "y = LogSoftmax <axis = 1> (z)",
    "sigmoid": "y = Sigmoid(z)",
    "softmax twice": "p = Softmax(z) y = Softmax(p)",
    "softmax, reshape": "p = Softmax(z) y = Reshape(p, minus_one_K)",
    "softmax, flatten": "p = Softmax(z) y = Flatten(p)",
    "softmax, clip": "p = Softmax(z) y = Clip(p, tiny, nearly_one)",
    "percent": "p = Softmax(z) y = Mul(p, hundred)",
    "exp of log softmax": "p = LogSoftmax(z) y = Exp(p)",
    "log of softmax": "p = Softmax(z) q = Add(p, tiny) y = Log(q)",
    "temperature": "s = Div(z, two) y = Softmax(s)",
    "unit of four axes": "y = Unsqueeze(z, axes_23)",
    "softmax over four axes": "u = Unsqueeze(z, axes_23) p = Softmax <axis = 1> (u) "
    "y = Squeeze(p, axes_23)",
    "softplus of the negative": "n = Neg(z) s = Sub(n, two) p = Softplus(s) y = Neg(p)",
    "softmax by hand": "m = ReduceMax <axes = [1], keepdims = 1> (z) d = Sub(z, m) e = Exp(d) "
    "s = ReduceSum <keepdims = 1> (e, axes_1) y = Div(e, s)",
    "sigmoid by hand": "n = Neg(z) e = Exp(n) o = Add(e, one) y = Reciprocal(o)",
    "shift of each sample": "m = ReduceMean <axes = [1], keepdims = 1> (z) y = Sub(z, m)",
    "unit length": "l = ReduceL2 <axes = [1], keepdims = 1> (z) m = Max(l, tiny) y = Div(z, m)",
    "twice the negative": "n = Neg(z) t = Sub(two, n) y = Mul(t, two)",
    "identity layer": "p = Softplus(z) y = MatMul(p, eye)",
    "nearly an identity layer": "t = Tanh(z) y = MatMul(t, nearly_eye)",
    "cube": "y = Pow(z, three)",
    "power of two": "y = Pow(two, z)",
    "square root of a sigmoid": "p = Sigmoid(z) y = Sqrt(p)",
    "arc tangent": "y = Atan(z)",
    "mean over heads": "u = Unsqueeze(z, axes_2) c = Concat <axis = 2> (u, u) "
    "y = ReduceMean <axes = [2], keepdims = 0> (c)",
}
"""Ends that keep the order of the scores, for scores of moderate size."""
REFUSED = {
    "a bump": "s = Sigmoid(z) y = Mul(z, s)",
    "a wave": "y = Sin(z)",
    "cube root by sign": "s = Sign(z) a = Abs(z) p = Pow(a, third) y = Mul(s, p)",
    "a gate": "m = ReduceMax <axes = [1], keepdims = 1> (z) y = Mul(z, m)",
    "over samples": "y = Softmax <axis = 0> (z)",
    "a decision": "g = Greater(z, two) y = Where(g, z, two)",
}
"""Functions of the scores that keep no order, or cannot be shown to."""


def numbers(classes: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """The constants that the texts name."""
    floats = {"one": 1, "two": 2, "three": 3, "hundred": 100, "tiny": 1e-7, "third": 1 / 3}
    floats["nearly_one"] = 1 - 1e-7
    eye = np.eye(classes, dtype=np.float32)
    off = np.random.default_rng(0).uniform(-1e-3, 1e-3, eye.shape).astype(np.float32)
    return {
        **{name: np.float32(value) for name, value in floats.items()},
        "eye": eye,
        "nearly_eye": eye + off,
        "minus_one_K": np.array([-1, classes]),
        "axes_1": np.array([1]),
        "axes_2": np.array([2]),
        "axes_23": np.array([2, 3]),
    }


def at_opset_17(model: ModelProto) -> ModelProto:
    """The model with the axes of reductions as attributes, as the texts of ends and beginnings."""
    known = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ReduceMean" and len(node.input) == 2:
            axes = known[node.input.pop()].tolist()
            del node.attribute[:]  # keepdims is 1 by default
            node.attribute.append(helper.make_attribute("axes", axes))
    model.opset_import[0].version = 17
    return model


def nodes_of(text: str, scores: str, result: str) -> list[NodeProto]:
    """The nodes of a text that read the value `scores` and give the value `result`."""
    lines = text.replace(") ", ")\n").splitlines()
    parsed = [onnx.parser.parse_node(line) for line in lines]
    for place, node in enumerate(parsed):
        renamed = {"z": scores, "y": result}
        node.input[:] = [renamed.get(one, one) for one in node.input]
        node.output[:] = [renamed.get(one, one) for one in node.output]
        node.name = f"end_{place}"
    return parsed


def ended(model: ModelProto, text: str, classes: int) -> ModelProto:
    """A copy of a model of opset 17, whose scores end as the text says."""
    copy = ModelProto()
    copy.CopyFrom(model)
    output = copy.graph.output[0]
    nodes = nodes_of(text, output.name, "ended_scores")
    read = {name for node in nodes for name in node.input}
    for name, value in numbers(classes).items():
        if name in read:
            copy.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    copy.graph.node.extend(nodes)
    output.name = "ended_scores"
    if text.startswith("y = Unsqueeze"):
        for _ in range(2):
            output.type.tensor_type.shape.dim.add().dim_value = 1
    return copy
