"""What a graph computes from sizes is what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, TypeProto, helper

from stages.passes.known_values import BATCHES, at_batches
from tests.support import zoo


def test_every_shape_of_an_export_is_known() -> None:
    """With the batch fixed nothing of a traced transformer is left unsized."""
    model = ModelProto.FromString(zoo.exported("vit", "legacy"))

    (at_side,) = at_batches(model)

    assert len(at_side) == len(BATCHES)
    for batch, known in zip(BATCHES, at_side, strict=True):
        assert known.shape("logits") == (batch, zoo.CLASSES)
        shapes = [known.shape(name) for node in model.graph.node for name in node.output]
        assert not [each for each in shapes if each is None or None in each]


@pytest.mark.parametrize("batch", BATCHES)
def test_numbers_are_those_of_onnxruntime(batch: int) -> None:
    """Every number made of sizes in a traced transformer is the one that the file computes."""
    model = ModelProto.FromString(zoo.exported("vit", "legacy"))
    known = at_batches(model)[0][BATCHES.index(batch)]
    written = {name for node in model.graph.node for name in node.output}
    names = sorted(written & set(known.numbers))
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    found = session.run(names, {"input": zoo.images(batch).numpy()})

    assert names
    for name, value in zip(names, found, strict=True):
        np.testing.assert_array_equal(known.numbers[name], value)


def test_nothing_large_is_computed() -> None:
    """A graph of a few bytes that asks for gigabytes gets none, and its shape is still known."""
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [3], [10**4, 10**4, 10])
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["sizes"], ["huge"]),
            helper.make_node("Neg", ["huge"], ["negated"]),
            helper.make_node("Identity", ["x"], ["y"]),
        ],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [sizes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])

    known = at_batches(model)[0][0]

    assert known.shape("negated") == (10**4, 10**4, 10)
    assert not {"huge", "negated"} & set(known.numbers)
    assert isinstance(known.types["huge"], TypeProto)
