"""Cuts the graph down to one output: the class scores before any final softmax."""

from __future__ import annotations

import numpy as np
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from stages.passes.onnx_graph import (
    attribute,
    constants,
    drop_unreached,
    fresh_names,
    inferred,
    is_float,
    opset,
    producers,
    shape_of,
    values,
)

_SOFTMAX = {"Softmax", "LogSoftmax"}


def score_outputs(model: ModelProto) -> list[ValueInfoProto]:
    """The float outputs of shape (batch, classes), with their shapes as far as onnx infers them.

    A ZipMap gives each sample a map from class to score; what counts is the tensor it reads.
    """
    typed = inferred(model).graph.output
    made_by = producers(model.graph)
    outputs = [
        _zipped(made_by.get(value.name)) or (better if shape_of(better) else value)
        for value, better in zip(model.graph.output, typed, strict=True)
    ]
    return [value for value in outputs if is_float(value) and len(shape_of(value) or ()) == 2]


def _zipped(node: NodeProto | None) -> ValueInfoProto | None:
    """The scores (batch, classes) that a ZipMap reads; None for any other node."""
    if node is None or node.op_type != "ZipMap":
        return None
    labels = sum(len(one.ints) + len(one.strings) for one in node.attribute)
    return helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, ("batch", labels))


def apply(model: ModelProto) -> None:
    """Cuts the graph back to the input of its final softmax; without one drops other outputs only.

    Identity and Cast nodes after the softmax are skipped. A softmax over another axis than the
    classes stays, because what it computes is not a probability per class. Two classes with the
    probabilities (1 − p, p) for p = sigmoid(z) get the logits (0, z), whose softmax is the same. A
    LinearClassifier gives the scores that it turns into probabilities.
    """
    scores = score_outputs(model)
    if len(scores) != 1:
        return
    output = scores[0]
    name = _logits(model, output.name)
    new = helper.make_empty_tensor_value_info(output.name)
    new.CopyFrom(output)
    new.name = name
    del model.graph.output[:]
    model.graph.output.append(new)
    drop_unreached(model.graph)


def _logits(model: ModelProto, output: str) -> str:
    """The value the final softmax reads, or the output itself if no softmax makes it."""
    made_by = producers(model.graph)
    node = made_by.get(output)
    while node is not None and _keeps_order(node):
        node = made_by.get(node.input[0])
    if node is None:
        return output
    if node.op_type == "LinearClassifier":
        return _linear_scores(node) or output
    if node.op_type == "Concat":
        return _two_class_logits(model, node) or output
    if node.op_type not in _SOFTMAX or not _over_classes(node, opset(model)):
        return output
    logits = values(inferred(model).graph).get(node.input[0])
    usable = node.input[0] in made_by and logits is not None and is_float(logits)
    return str(node.input[0]) if usable else output


def _keeps_order(node: NodeProto) -> bool:
    """Whether the node passes probabilities on, or divides them by their sum."""
    sums = any(one.name == "norm" and one.s == b"L1" for one in node.attribute)
    return node.op_type in ("Identity", "Cast") or (node.op_type == "Normalizer" and sums)


def _linear_scores(node: NodeProto) -> str | None:
    """The scores of a LinearClassifier, which no longer turns them into probabilities.

    A logistic transform of one score z, or of −z and z, gives the softmax of (0, z).
    """
    attributes = {one.name: one for one in node.attribute}
    transform = attributes["post_transform"].s if "post_transform" in attributes else b"NONE"
    if transform not in (b"NONE", b"LOGISTIC", b"SOFTMAX"):
        return None
    if transform == b"LOGISTIC":
        _split_by_one_score(attributes["coefficients"], attributes["intercepts"])
    if transform != b"NONE":
        attributes["post_transform"].s = b"NONE"
    return str(node.output[1])


def _split_by_one_score(coefficients: AttributeProto, intercepts: AttributeProto) -> None:
    """Where one score z separates two classes, stored as z or as −z and z, stores 0 and z."""
    bias = np.array(intercepts.floats)
    rows = np.reshape(coefficients.floats, (len(bias), -1))
    opposite = len(bias) == 2 and bias[0] == -bias[1] and np.array_equal(rows[0], -rows[1])
    if len(bias) == 1 or opposite:
        for one, numbers in ((coefficients, rows), (intercepts, bias)):
            one.floats[:] = [*np.zeros(numbers[-1].size), *numbers[-1:].ravel()]


def _two_class_logits(model: ModelProto, joined: NodeProto) -> str | None:
    """The logits (0, z) of probabilities (1 − sigmoid(z), sigmoid(z)); None for anything else.

    They are a product of z with a constant row, so that the last layer can absorb it.
    """
    made_by = producers(model.graph)
    if len(joined.input) != 2 or attribute(joined, "axis", 0) not in (1, -1):
        return None
    for place, (rest, share) in enumerate((tuple(joined.input), tuple(joined.input)[::-1])):
        sigmoid = made_by.get(share)
        if sigmoid is None or sigmoid.op_type != "Sigmoid" or not _is_rest(model, rest, share):
            continue
        log_odds = values(inferred(model).graph).get(sigmoid.input[0])
        if log_odds is not None and (shape_of(log_odds) or (1,))[-1] != 1:
            return None
        return _append_logits(model, sigmoid.input[0], log_odds, (0, 1) if place == 0 else (1, 0))
    return None


def _is_rest(model: ModelProto, rest: str, share: str) -> bool:
    """Whether the value `rest` is one minus the value `share`."""
    node = producers(model.graph).get(rest)
    if node is None or node.op_type != "Sub" or node.input[1] != share:
        return False
    one = constants(model.graph).get(node.input[0])
    return one is not None and bool(np.all(numpy_helper.to_array(one) == 1))


def _append_logits(
    model: ModelProto, name: str, log_odds: ValueInfoProto | None, row: tuple[int, int]
) -> str:
    """Adds the product of the log-odds with the row to the end of the graph; its name."""
    kind = TensorProto.FLOAT if log_odds is None else log_odds.type.tensor_type.elem_type
    names = fresh_names(model.graph, "two_class_logits")
    weight, logits = next(names), next(names)
    model.graph.initializer.append(helper.make_tensor(weight, kind, (1, 2), row))
    model.graph.node.append(helper.make_node("MatMul", [name, weight], [logits]))
    return logits


def _over_classes(node: NodeProto, version: int) -> bool:
    return attribute(node, "axis", -1 if version >= 13 else 1) in (-1, 1)
