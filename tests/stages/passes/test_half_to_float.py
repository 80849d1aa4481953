"""Laws of bfloat16: stored weights are judged as they are, images of it cannot be fed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.errors import ModelRefused
from stages.onnx_file.inspection import inspect_onnx, load_proto
from stages.passes import normalise
from stages.twin.convert import build_module
from stages.twin.parity import prove_parity
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples
from tests.support.tiny_model import tiny


def with_stored_bfloat16() -> ModelProto:
    """The tiny model with its weights in bfloat16, each cast where it is read."""
    model = tiny()
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    del model.graph.initializer[:]
    casts = []
    for name, value in weights.items():
        half = helper.make_tensor(f"{name}_half", TensorProto.BFLOAT16, value.shape, value.ravel())
        model.graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    graph = helper.make_graph(
        *(nodes, "tiny", model.graph.input, model.graph.output, model.graph.initializer)
    )
    model.graph.CopyFrom(graph)
    return model


def test_weights_stored_in_bfloat16_are_judged(tmp_path: Path) -> None:
    """onnxruntime casts them, and the twin has the same numbers."""
    path = tmp_path / "model.onnx"
    path.write_bytes(with_stored_bfloat16().SerializeToString())
    images = np.random.default_rng(0).random((8, 3, 8, 8), np.float32)
    samples = CleanSamples(images=images, labels=np.zeros(8, np.int64))

    artifact, module = inspect_onnx(path), build_module(normalise(load_proto(path)))

    assert prove_parity(artifact, module, samples, ParityConfig()).max_rel < 1e-6


def test_images_in_bfloat16_are_refused_in_one_sentence(tmp_path: Path) -> None:
    """onnxruntime takes none from numpy; the advice is a type that it takes."""
    model, path = tiny(), tmp_path / "model.onnx"
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["single"], to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "single"
    path.write_bytes(model.SerializeToString())

    with pytest.raises(ModelRefused, match=r"`x` has type bfloat16, .*; export at float32$"):
        inspect_onnx(path)
