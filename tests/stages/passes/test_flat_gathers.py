"""A Gather of everything is a Reshape; any other Gather stays."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from stages.passes import flat_gathers

IMAGES = np.arange(12, dtype=np.float32).reshape(2, 6)


def gathered(indices: np.ndarray, flat: list[int]) -> ModelProto:
    """Takes entries of (2, 6) images that were reshaped to `flat` before."""
    nodes = [
        helper.make_node("Reshape", ["images", "flat"], ["line"]),
        helper.make_node("Gather", ["line", "indices"], ["taken"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "gathered",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [2, 6])],
        [helper.make_tensor_value_info("taken", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array(flat, dtype=np.int64), "flat"),
            numpy_helper.from_array(indices.astype(np.int64), "indices"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def run(model: ModelProto) -> np.ndarray:
    (value,) = ReferenceEvaluator(model).run(None, {"images": IMAGES})
    return np.asarray(value)


@pytest.mark.parametrize("flat", [[-1], [12]])
def test_all_entries_in_order_are_a_reshape(flat: list[int]) -> None:
    """No size is read from indices any more, and the values stay."""
    model = gathered(np.arange(12).reshape(2, 3, 2), flat)
    before = run(model)

    flat_gathers.apply(model)

    assert [node.op_type for node in model.graph.node] == ["Reshape"]
    np.testing.assert_array_equal(before, run(model))


@pytest.mark.parametrize(
    ("indices", "flat"),
    [
        pytest.param(np.arange(11), [-1], id="not all"),
        pytest.param(np.arange(12)[::-1], [-1], id="another order"),
        pytest.param(np.arange(3), [3, 4], id="rows of a table"),
    ],
)
def test_other_gathers_stay(indices: np.ndarray, flat: list[int]) -> None:
    """What leaves out, sorts or takes rows is no Reshape."""
    model = gathered(indices, flat)
    before = model.SerializeToString()

    flat_gathers.apply(model)

    assert model.SerializeToString() == before
