"""The content digest knows what a model computes, and nothing of how its file is laid out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, TensorProto, external_data_helper, helper, numpy_helper

from mlflow_project.commands import DEMO
from stages.errors import ModelRefused
from stages.onnx_file.content_digest import content_digest
from stages.onnx_file.inspection import inspect_onnx
from stages.passes.onnx_graph import all_graphs

Change = Callable[[ModelProto], object]
FLOAT = TensorProto.FLOAT


def branch(name: str, operator: str) -> GraphProto:
    """A branch of an If that reads values of the outer graph."""
    node = helper.make_node(operator, ["hidden", "bias"], [f"{name}_out"], name=f"{name}_node")
    output = helper.make_tensor_value_info(f"{name}_out", FLOAT, None)
    return helper.make_graph([node], name, [], [output])


def model() -> ModelProto:
    """A graph with a weight, two look-alike nodes, a constant, an If, and something unread."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    nodes = [
        helper.make_node("MatMul", ["image", "weight"], ["product"], name="first"),
        helper.make_node("LeakyRelu", ["product"], ["hidden"], name="second", alpha=0.1),
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node(
            *("If", ["yes"], ["chosen"]),
            then_branch=branch("then", "Add"),
            else_branch=branch("else", "Sub"),
        ),
        helper.make_node("Sub", ["chosen", "product"], ["scores"], name="last"),
        helper.make_node("Softmax", ["product"], ["unread"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("scores", FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(weights, "weight"),
            numpy_helper.from_array(np.ones(3, np.float32), "bias"),
            numpy_helper.from_array(np.zeros(2, np.int64), "spare"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ORIGINAL = content_digest(model())


def rename(changed: ModelProto, prefix: str) -> None:
    """Gives every inner value and every node another name."""
    outer = {each.name for each in (*changed.graph.input, *changed.graph.output)}
    for graph in all_graphs(changed.graph):
        for each in (*graph.initializer, *graph.output):
            each.name = each.name if each.name in outer else prefix + each.name
        for node in graph.node:
            node.name = prefix + node.name
            for names in (node.input, node.output):
                names[:] = [name if name in outer else prefix + name for name in names]


@given(st.randoms(use_true_random=False), st.text(max_size=5))
def test_the_layout_of_a_file_does_not_count(shuffle: random.Random, prefix: str) -> None:
    """Order of nodes, weights and attributes, inner names, producer, comments and metadata."""
    changed = model()
    rename(changed, prefix)
    for parts in (changed.graph.node, changed.graph.initializer, changed.graph.node[0].attribute):
        mixed = list(parts)
        shuffle.shuffle(mixed)
        copies = [type(each).FromString(each.SerializeToString()) for each in mixed]
        del parts[:]
        parts.extend(copies)
    changed.producer_name, changed.producer_version, changed.doc_string = "x", "y", prefix
    changed.graph.name, changed.graph.doc_string = prefix, prefix
    changed.graph.node[0].doc_string = prefix
    helper.set_model_props(changed, {"made": prefix})
    changed.graph.value_info.add(name="product")

    assert content_digest(changed) == ORIGINAL


@pytest.mark.parametrize(
    "change",
    [
        lambda it: setattr(it.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "unk__7"),
        lambda it: it.graph.input[0].type.tensor_type.shape.dim[0].Clear(),
        lambda it: it.graph.node[0].input.append(""),
        lambda it: setattr(it.opset_import[0], "domain", "ai.onnx"),
        lambda it: setattr(it.graph.node[0], "domain", "ai.onnx"),
        lambda it: it.graph.initializer[0].CopyFrom(as_floats(it.graph.initializer[0])),
    ],
)
def test_the_same_said_otherwise_does_not_count(change: Change) -> None:
    """Names of free sizes, left-out inputs, the default domain's names, how numbers are stored."""
    changed = model()
    change(changed)

    assert content_digest(changed) == ORIGINAL


def as_floats(tensor: TensorProto) -> TensorProto:
    """The same tensor with numbers in place of raw bytes."""
    values = numpy_helper.to_array(tensor)
    return helper.make_tensor(tensor.name, FLOAT, values.shape, values.ravel().tolist())


def weight(changed: ModelProto, values: np.ndarray) -> None:  # type: ignore[type-arg] # any
    changed.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "weight"))


WEIGHT = np.arange(12, dtype=np.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: setattr(it.graph.node[0], "op_type", "Gemm"),
        lambda it: setattr(it.graph.node[0], "domain", "custom"),
        lambda it: setattr(it.graph.node[1].attribute[0], "f", 0.2),
        lambda it: setattr(it.graph.node[1].attribute[0], "name", "beta"),
        lambda it: it.graph.node[1].ClearField("attribute"),
        lambda it: setattr(it.graph.node[5].attribute[0], "i", 0),
        lambda it: it.graph.node.pop(5),
        lambda it: it.graph.initializer.pop(2),
        lambda it: it.graph.node[4].input.reverse(),
        lambda it: it.graph.node[4].input.__setitem__(1, "hidden"),
        lambda it: it.graph.node[3].attribute[0].g.node[0].input.reverse(),
        lambda it: setattr(it.graph.node[3].attribute[0].g.node[0], "op_type", "Mul"),
        lambda it: weight(it, WEIGHT.reshape(3, 4)),
        lambda it: weight(it, WEIGHT.reshape(4, 3).astype(np.float64)),
        lambda it: weight(it, -0.0 * WEIGHT.reshape(4, 3)),
        lambda it: setattr(it.opset_import[0], "version", 18),
        lambda it: it.opset_import.add(domain="ai.onnx.ml", version=3),
        lambda it: setattr(it.graph.input[0], "name", "bias2") or rewire(it, "image", "bias2"),
        lambda it: setattr(it.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE),
        lambda it: setattr(it.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 1),
        lambda it: setattr(it.graph.output[0], "name", "hidden"),
        lambda it: it.graph.output.add(name="hidden"),
    ],
)
def test_whatever_changes_the_model_counts(change: Change) -> None:
    """Operators, attributes, wiring, weights, types, shapes, opsets, inputs and outputs."""
    changed = model()
    change(changed)

    assert content_digest(changed) != ORIGINAL


def rewire(changed: ModelProto, old: str, new: str) -> None:
    for node in changed.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


@given(st.integers(0, 12 * 32 - 1))
def test_every_bit_of_a_weight_counts(bit: int) -> None:
    """Whichever is flipped, also into NaN."""
    changed = model()
    raw = bytearray(changed.graph.initializer[0].raw_data)
    raw[bit // 8] ^= 1 << bit % 8
    changed.graph.initializer[0].raw_data = bytes(raw)

    assert content_digest(changed) != ORIGINAL


def test_a_value_that_nobody_makes_is_refused() -> None:
    """There is nothing to take a digest of."""
    incomplete = model()
    incomplete.graph.initializer.pop(0)

    with pytest.raises(ModelRefused, match="`weight` is read, but nothing makes it"):
        content_digest(incomplete)


def test_weights_beside_the_file_are_the_same_weights(tmp_path: Path) -> None:
    """Saved outside under any name and read again; unread they are refused."""
    for name in ("one.data", "another.data"):
        onnx.save(
            model(), tmp_path / "m.onnx", save_as_external_data=True, location=name,
            size_threshold=0,
        )  # fmt: skip
        outside = onnx.load(tmp_path / "m.onnx", load_external_data=False)
        with pytest.raises(ModelRefused, match="outside the file"):
            content_digest(outside)
        external_data_helper.load_external_data_for_model(outside, str(tmp_path))
        assert content_digest(outside) == ORIGINAL


def test_a_nested_name_may_come_again() -> None:
    """What a branch calls its values is its own matter."""
    changed = model()
    for attribute in changed.graph.node[3].attribute:
        attribute.g.node[0].output[0] = attribute.g.output[0].name = "same"

    assert content_digest(changed) == ORIGINAL


def test_inspection_tells_the_digest(tmp_path: Path) -> None:
    """The demo models differ, and a copy with another producer is the same content."""
    clean = onnx.load(DEMO / "clean.onnx")
    clean.producer_name = "somebody else"
    onnx.save(clean, tmp_path / "copy.onnx")

    found = inspect_onnx(DEMO / "clean.onnx")
    copy = inspect_onnx(tmp_path / "copy.onnx")

    assert found.digest != copy.digest
    assert found.content_digest == copy.content_digest == content_digest(clean)
    assert inspect_onnx(DEMO / "patch.onnx").content_digest != found.content_digest
