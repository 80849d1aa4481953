"""A branch that is always taken stands in the place of its If; any other If stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from stages.onnx_file.graph_logic import find_graph_logic
from stages.passes import normalise, take_known_branches
from stages.twin.convert import build_module
from tests.support import zoo


class Squeezed(nn.Module):
    """A convolution whose pooled axes are squeezed, which tracing writes as branches on sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 8, 3, padding=1), nn.AvgPool2d(32)
        self.linear = nn.Linear(8, zoo.CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of images of side 32."""
        pooled = self.pool(self.conv(images).relu()).squeeze(3).squeeze(2)
        return torch.Tensor(self.linear(pooled))


def normalised_locally() -> nn.Module:
    """A convolution with local response normalisation, and a linear layer."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.LocalResponseNorm(3)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, zoo.CLASSES)),
    )


def run(model: ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])


def operators(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def branch(scale: float, name: str = "made") -> onnx.GraphProto:
    """Scales `x` by a constant of its own."""
    return helper.make_graph(
        [helper.make_node("Mul", ["x", "scale"], [name])],
        "branch",
        [],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(scale, np.float32), "scale")],
    )


def branching(before: list[NodeProto], *, batch: int | str = "batch") -> ModelProto:
    """`x` (batch, 3) twice through a branch that doubles it if `yes` and else negates it."""
    doubled = {"then_branch": branch(2), "else_branch": branch(-1)}
    nodes = [
        *before,
        helper.make_node("If", ["yes"], ["first"], name="first", **doubled),
        helper.make_node("If", ["yes"], ["second"], name="second", **doubled),
        helper.make_node("Add", ["first", "second"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "branching",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(np.array(value, np.int64), name)
            for name, value in {"zero": 0, "one": 1, "three": 3}.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def on_size(axis: str, expected: str) -> list[NodeProto]:
    """Whether an axis of `x` has so many entries."""
    return [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", axis], ["size"]),
        helper.make_node("Equal", ["size", expected], ["yes"]),
    ]


ON_DATA = [
    helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
    helper.make_node("Cast", ["most"], ["yes"], to=TensorProto.BOOL),
]


@pytest.mark.parametrize("expected", ["one", "three"])
def test_a_branch_on_a_fixed_size_is_taken(expected: str) -> None:
    """Both branches, with the same names inside, are written out, and the results stay."""
    model = branching(on_size("one", expected))
    images = np.random.default_rng(0).random((5, 3), np.float32)
    before = run(model, images)

    take_known_branches.apply(model)

    onnx.checker.check_model(model)
    assert "If" not in operators(model)
    np.testing.assert_array_equal(run(model, images), before)


@pytest.mark.parametrize("before", [on_size("zero", "one"), ON_DATA], ids=["batch", "data"])
def test_a_branch_on_batch_or_data_stays(before: list[NodeProto]) -> None:
    """What differs between inputs or between batches is left as it is."""
    model = branching(before)
    untouched = model.SerializeToString()

    take_known_branches.apply(model)

    assert model.SerializeToString() == untouched


def test_a_written_batch_is_a_size_like_any_other() -> None:
    """In a graph for one batch size a branch on the batch always goes the same way."""
    model = branching(on_size("zero", "one"), batch=1)

    take_known_branches.apply(model)

    assert "If" not in operators(model)


@pytest.mark.parametrize(
    ("build", "sides"),
    [(Squeezed, "free"), (normalised_locally, "free"), (normalised_locally, "fixed")],
)
def test_traced_branches_on_sizes_convert(build: Callable[[], nn.Module], sides: str) -> None:
    """Tracing with free sizes leaves branches; they are no finding, and the twin is the file."""
    torch.manual_seed(0)
    axes = {0: "batch"} | ({2: "height", 3: "width"} if sides == "free" else {})
    model = ModelProto.FromString(zoo.export_legacy(build().eval(), free=axes))
    images = zoo.images(4)

    found = find_graph_logic(model)
    module = build_module(normalise(model))

    assert "If" in operators(model)
    assert found == ()
    with torch.no_grad():
        twin = module(images).numpy()
    np.testing.assert_allclose(twin, run(model, images.numpy()), atol=1e-5)
