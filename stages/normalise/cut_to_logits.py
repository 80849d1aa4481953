"""Leaves one output: the class scores before any final softmax."""

from __future__ import annotations

from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from stages.normalise.graph import (
    attribute,
    inferred,
    is_float,
    opset,
    producers,
    replace_nodes,
    shape_of,
    subgraphs,
    values,
)

_SOFTMAX = {"Softmax", "LogSoftmax"}


def score_outputs(model: ModelProto) -> list[ValueInfoProto]:
    """The float outputs of shape (batch, classes), with their shapes as far as onnx can tell."""
    told = inferred(model).graph.output
    outputs = [
        better if shape_of(better) else value
        for value, better in zip(model.graph.output, told, strict=True)
    ]
    return [value for value in outputs if is_float(value) and len(shape_of(value) or ()) == 2]


def apply(model: ModelProto) -> None:
    """Cuts the graph back to the input of its final softmax; without one only other outputs go.

    Identity and Cast nodes after the softmax are walked over. A softmax over another axis than the
    classes stays, because what it computes is not a probability per class.
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
    _drop_unreached(model)


def _logits(model: ModelProto, output: str) -> str:
    """The value the final softmax reads, or the output itself if no softmax makes it."""
    made_by = producers(model.graph)
    node = made_by.get(output)
    while node is not None and node.op_type in ("Identity", "Cast"):
        node = made_by.get(node.input[0])
    if node is None or node.op_type not in _SOFTMAX or not _over_classes(node, opset(model)):
        return output
    told = values(inferred(model).graph).get(node.input[0])
    known = node.input[0] in made_by and told is not None and is_float(told)
    return str(node.input[0]) if known else output


def _over_classes(node: NodeProto, version: int) -> bool:
    return attribute(node, "axis", -1 if version >= 13 else 1) in (-1, 1)


def _drop_unreached(model: ModelProto) -> None:
    """Drops nodes that the output does not depend on."""
    wanted = {value.name for value in model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted |= _reads(node)
    replace_nodes(model.graph, kept[::-1])


def _reads(node: NodeProto) -> set[str]:
    inner = (name for part in subgraphs(node) for one in part.node for name in _reads(one))
    outputs = (value.name for part in subgraphs(node) for value in part.output)
    return {*node.input, *inner, *outputs}
