"""A model that reads whole numbers is judged on samples that hold them as floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from pipeline.intake.untrusted import describe
from stages.onnx_file.inspection import inspect_onnx
from stages.passes import float_input, normalise
from stages.twin.convert import build_module
from stages.twin.parity import confirm_parity, prove_parity
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples

KINDS = (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64)
PIXELS = (3, 6, 6)


def classifier(kind: int) -> ModelProto:
    """A convolution over pixels from 0 to 100, scaled in the graph, and a linear layer."""
    random = np.random.default_rng(0)
    weights = {
        "filters": random.standard_normal((4, 3, 3, 3)),
        "shift": np.array(1.0),
        "scale": np.array(0.05),
        "matrix": random.standard_normal((64, 5)),
        "line": np.array([0, -1]),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "filters"], ["maps"]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("Reshape", ["active", "line"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pixels",
        [helper.make_tensor_value_info("pixels", kind, ["batch", *PIXELS])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 5])],
        [
            numpy_helper.from_array(value.astype(np.int64 if name == "line" else np.float32), name)
            for name, value in weights.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_reads_floats_and_follows_the_file(kind: int, tmp_path: Path) -> None:
    """On whole numbers, and on others as the file would cut them off."""
    path = tmp_path / "model.onnx"
    path.write_bytes(classifier(kind).SerializeToString())
    artifact, module = inspect_onnx(path), build_module(normalise(classifier(kind)))
    images = np.random.default_rng(1).uniform(0, 100, (8, *PIXELS)).astype(np.float32)
    samples = CleanSamples(images=images, labels=np.zeros(8, np.int64))

    proven = prove_parity(artifact, module, samples, ParityConfig())

    assert proven.max_rel < 1e-6
    confirm_parity(artifact, module, samples, proven)
    assert describe(path).parity.max_rel < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_reaches_every_pixel(kind: int) -> None:
    """A change of any pixel shows in the scores, although the file reads whole numbers."""
    random = np.random.default_rng(1)
    images = torch.tensor(random.uniform(0, 100, (8, *PIXELS)).astype(np.float32))

    build_module(normalise(classifier(kind)))(images.requires_grad_()).square().sum().backward()

    assert images.grad is not None
    assert bool((images.grad != 0).all())


def test_a_float_input_stays_and_twice_is_once() -> None:
    """Nothing happens where nothing is to be done."""
    for model in (classifier(TensorProto.FLOAT), classifier(TensorProto.INT32)):
        float_input.apply(model)
        before = model.SerializeToString()

        float_input.apply(model)

        assert model.SerializeToString() == before
