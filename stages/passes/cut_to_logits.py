"""Cuts the graph down to one output: the raw class scores, before all that keeps their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
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
    Shape,
    attribute,
    constants,
    drop_unreached,
    fresh_names,
    inferred,
    is_float,
    producers,
    shape_of,
    values,
)
from stages.passes.score_tail import Tail, Types, tail_of
from stages.passes.tangles import tangled

NumberArray = npt.NDArray[np.generic]

LEAST = 1e-30
"""The smallest probability whose logarithm is taken."""


def score_outputs(model: ModelProto) -> list[ValueInfoProto]:
    """The float outputs of shape (batch, classes), with their shapes as far as onnx infers them.

    Further sizes of one are allowed, as in (batch, classes, 1, 1). A ZipMap gives each sample a map
    from class to score; what counts is the tensor it reads.
    """
    typed = inferred(model).graph.output
    made_by = producers(model.graph)
    outputs = [
        _zipped(made_by.get(value.name)) or (better if shape_of(better) else value)
        for value, better in zip(model.graph.output, typed, strict=True)
    ]
    return [value for value in outputs if is_float(value) and _is_scores(shape_of(value) or ())]


def _is_scores(shape: Shape) -> bool:
    """Whether a value of that shape has one number for each class of a sample."""
    return len(shape) == 2 or (len(shape) > 2 and sum(size != 1 for size in shape[1:]) == 1)


def _zipped(node: NodeProto | None) -> ValueInfoProto | None:
    """The scores (batch, classes) that a ZipMap reads; None for any other node."""
    if node is None or node.op_type != "ZipMap":
        return None
    labels = sum(len(one.ints) + len(one.strings) for one in node.attribute)
    return helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, ("batch", labels))


def keep_output(model: ModelProto, name: str) -> None:
    """Leaves a model the one output of that name, which another output may be made of."""
    kept = [value for value in score_outputs(model) if value.name == name]
    del model.graph.output[:]
    model.graph.output.extend(kept)


def apply(model: ModelProto) -> None:
    """Cuts the graph back to the raw scores (batch, classes) behind all that keeps their order.

    Two classes with the probabilities (1 − p, p) for p = sigmoid(z) get the logits (0, z), whose
    softmax is the same. A LinearClassifier gives the scores that it turns into probabilities. A
    model without a single output of scores only stays as it is.

    Raises:
        ModelRefused: a function that keeps no order lies behind the last real layer.
    """
    scores = score_outputs(model)
    if len(scores) != 1:
        return
    output = scores[0]
    types = values(inferred(model).graph)
    tail = tail_of(model, output, types)
    name = _made_plain(model, tail, output, types)
    new = helper.make_empty_tensor_value_info(output.name)
    new.CopyFrom(output)
    new.name = name
    if name != output.name:
        new.type.tensor_type.elem_type = _kind(types, tail.name)
        _flatten(new)
    del model.graph.output[:]
    model.graph.output.append(new)
    drop_unreached(model.graph)


def _made_plain(model: ModelProto, tail: Tail, output: ValueInfoProto, types: Types) -> str:
    """The name of the raw scores in the order of the classes, for which nodes may be added."""
    special = _special_scores(model, tail.name)
    if special is not None:
        return special
    name = tail.name
    mixed = tangled(model, tail, output, types)
    names = fresh_names(model.graph, "raw_scores")
    value = types.get(name)
    rank = len(shape_of(value) or (0, 0)) if value is not None else 2

    def add(operator: str, *inputs: str, **axis: Any) -> str:
        made = next(names)
        model.graph.node.append(helper.make_node(operator, inputs, [made], **axis))
        return made

    def number(value: NumberArray) -> str:
        made = next(names)
        model.graph.initializer.append(numpy_helper.from_array(value, made))
        return made

    if mixed:
        kind = helper.tensor_dtype_to_np_dtype(_kind(types, name))
        name = add("Log", add("Max", name, number(np.array(LEAST, kind))))
    if tail.falls:
        name = add("Neg", name)
    if rank > 2:
        name = add("Flatten", name, axis=1)
    if tail.order != tuple(range(len(tail.order))):
        name = add("Gather", name, number(np.array(tail.order, np.int64)), axis=1)
    return name


def _special_scores(model: ModelProto, name: str) -> str | None:
    """The scores behind a LinearClassifier or two probabilities of one logit; None for others."""
    node = producers(model.graph).get(name)
    if node is None:
        return None
    if node.op_type == "LinearClassifier":
        return _linear_scores(node)
    return _two_class_logits(model, node) if node.op_type == "Concat" else None


def _kind(types: Types, name: str) -> int:
    """The element type of a value of floats."""
    value = types.get(name)
    return TensorProto.FLOAT if value is None else value.type.tensor_type.elem_type


def _flatten(value: ValueInfoProto) -> None:
    """Makes the shape (batch, classes) of one with sizes of one."""
    dims = value.type.tensor_type.shape.dim
    for place in reversed(range(1, len(dims))):
        if len(dims) > 2 and dims[place].HasField("dim_value") and dims[place].dim_value == 1:
            del dims[place]


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
