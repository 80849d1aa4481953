"""A Reshape whose result is known reads its data alone, and gives what it gave before."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from stages.passes import fold_constants, settle_reshapes
from tests.support import zoo


def reshaped(source: list[int | str], taken: int, rest: list[int]) -> ModelProto:
    """Reshapes images of the source shape to their first `taken` sizes and then the rest."""
    nodes = [
        helper.make_node("Shape", ["images"], ["sizes"], end=taken),
        helper.make_node("Concat", ["sizes", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["images", "shape"], ["flat"]),
    ]
    target = [*source[:taken], *rest]
    graph = helper.make_graph(
        nodes,
        "reshaped",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, source)],
        [helper.make_tensor_value_info("flat", TensorProto.FLOAT, target)],
        [numpy_helper.from_array(np.array(rest, dtype=np.int64), "rest")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def run(model: ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"images": images})[0])


def test_a_target_with_one_free_size_becomes_constant() -> None:
    """The batch is −1, nothing else is computed any more, and the values stay."""
    model = reshaped(["batch", 2, 3, 4], 1, [24])
    images = np.random.default_rng(0).random((5, 2, 3, 4), np.float32)
    before = run(model, images)

    settle_reshapes.apply(model)

    assert [node.op_type for node in model.graph.node] == ["Reshape"]
    (target,) = (one for one in model.graph.initializer if one.name == model.graph.node[0].input[1])
    assert numpy_helper.to_array(target).tolist() == [-1, 24]
    np.testing.assert_array_equal(before, run(model, images))


@pytest.mark.parametrize(
    ("source", "taken", "rest"),
    [
        pytest.param(["batch", "height", 3, 4], 2, [12], id="two free sizes"),
        pytest.param(["batch", 0, 4], 2, [4], id="an empty axis"),
    ],
)
def test_a_target_that_is_not_settled_stays(
    source: list[int | str], taken: int, rest: list[int]
) -> None:
    """One −1 cannot stand for two sizes, and beside 0 it says nothing."""
    model = reshaped(source, taken, rest)
    before = model.SerializeToString()

    settle_reshapes.apply(model)

    assert model.SerializeToString() == before


def test_twice_is_once() -> None:
    """A constant target stays as it is."""
    model = reshaped(["batch", 2, 3, 4], 1, [24])
    settle_reshapes.apply(model)
    before = model.SerializeToString()

    settle_reshapes.apply(model)

    assert model.SerializeToString() == before


class _View(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.view(images.shape[0], -1)


def test_a_view_of_an_unoptimised_program_reads_no_size() -> None:
    """What the default exporter writes without its optimiser loses its Shape nodes."""
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.onnx.export(
        *(_View().eval(), (zoo.images(2),)),
        dynamo=True,
        optimize=False,
        opset_version=18,
        verbose=False,
        dynamic_shapes=({0: batch},),
    )
    assert program is not None
    model = program.model_proto
    fold_constants.apply(model)
    had = {node.op_type for node in model.graph.node}

    settle_reshapes.apply(model)

    assert "Shape" in had
    assert [node.op_type for node in model.graph.node] == ["Reshape"]
