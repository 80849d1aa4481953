"""Laws of models in half or double precision: the twin is their float32 likeness."""

from __future__ import annotations

import copy
import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from stages.errors import ModelRefused
from stages.onnx_file.inspection import inspect_onnx
from stages.passes import half_to_float, normalise, sort_nodes
from stages.twin import sites
from stages.twin.convert import build_module, trainable_share
from tests.support import zoo

Array = npt.NDArray[Any]

TOLERANCE = 1e-3  # relative: numbers of float16 are rounded by up to 5e-4
NETS = ("small_cnn", "vgg_bn", "resnet", "mobilenet", "densenet", "mlp")


@cache
def halved(architecture: str, *, keeps_ends: bool = False) -> bytes:
    """The legacy export of that net in float16; `keeps_ends` leaves input and output float32."""
    model = onnx.load_model_from_string(zoo.exported(architecture, "legacy"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        half: ModelProto = convert_float_to_float16(model, keep_io_types=keeps_ends)
    return half.SerializeToString()


def run(model: ModelProto, images: Array) -> Array:
    """What onnxruntime computes, fed with the type of the file and unoptimised."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    kinds = {"tensor(float16)": np.float16, "tensor(double)": np.float64}
    fed = images.astype(kinds.get(source.type, np.float32))
    return np.asarray(session.run(None, {source.name: fed})[0]).astype(np.float32)


@pytest.mark.parametrize("keeps_ends", [True, False])
@pytest.mark.parametrize("architecture", NETS)
def test_the_twin_follows_the_half_model(architecture: str, keeps_ends: bool) -> None:
    """The twin has float32 weights only, all trainable, and is near onnxruntime's logits."""
    model = onnx.load_model_from_string(halved(architecture, keeps_ends=keeps_ends))
    images = zoo.images(7).half().float()
    expected = run(model, images.numpy())

    module = build_module(normalise(model))

    with torch.no_grad():
        found = module(images).numpy()
    gap = np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max()))
    assert gap <= TOLERANCE
    assert {one.dtype for one in module.parameters()} == {torch.float32}
    assert trainable_share(module) == 1


@pytest.mark.parametrize("architecture", NETS)
def test_noise_sites_and_features_stay(architecture: str) -> None:
    """No cast comes between a layer, its normalisation and the pooling."""
    images = zoo.images(3)
    model = onnx.load_model_from_string(zoo.exported(architecture, "legacy"))
    half = onnx.load_model_from_string(halved(architecture, keeps_ends=True))

    found = []
    for one in (model, half):
        module = build_module(normalise(one))
        split = sites.find_split(module, images)
        kinds = [
            (site.kind, site.channels) for site in sites.find_sites(module, images, split.last)
        ]
        found.append((type(module.get_submodule(_target(module, split.features))), kinds))

    assert found[0] == found[1]


def _target(module: torch.fx.GraphModule, name: str) -> str:
    return next(str(node.target) for node in module.graph.nodes if node.name == name)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_of_torch_are_read(dtype: torch.dtype) -> None:
    """A net exported at another precision has a float32 twin near the net itself."""
    net, images = copy.deepcopy(zoo.net("small_cnn")).to(dtype), zoo.images(5)
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(*(net, (images[:2].to(dtype),), target), dynamo=False, opset_version=17)
    model = onnx.load_model_from_string(target.getvalue())

    module = build_module(normalise(model))

    with torch.no_grad():
        torch.testing.assert_close(
            *(module(images), zoo.net("small_cnn")(images)),
            rtol=0,
            atol=20 * torch.finfo(dtype).eps + 1e-5,
        )
    assert half_to_float.is_half(model) == (dtype != torch.float64)


def tiny(kind: int, *, opset: int = 17) -> ModelProto:
    """y = float(relu(x·w + c)) with casts, a shape computed in that type, and a filled constant."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weight = numpy_helper.from_array(np.linspace(-1, 1, 12).reshape(4, 3).astype(dtype), "w")
    one = numpy_helper.from_array(np.array([0.5], dtype))
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=kind),
        helper.make_node("MatMul", ["h", "w"], ["z"]),
        helper.make_node("Constant", [], ["c"], value=one),
        helper.make_node("Add", ["z", "c"], ["s"]),
        helper.make_node("Shape", ["s"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["filled"], value=one),
        helper.make_node("Add", ["s", "filled"], ["t"]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 3))],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


ROWS = np.linspace(-2, 2, 20, dtype=np.float32).reshape(5, 4)
KINDS = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pass_leaves_float32_only(kind: int) -> None:
    """Weights, constants, attributes and casts are float32; casts between floats do nothing."""
    model = tiny(kind)

    half_to_float.apply(model)

    onnx.checker.check_model(model, full_check=True)
    assert {one.data_type for one in model.graph.initializer} == {TensorProto.FLOAT}
    operators = [node.op_type for node in model.graph.node]
    assert (operators.count("Cast"), operators.count("Identity")) == (0, 2)
    weight = np.linspace(-1, 1, 12).reshape(4, 3)
    np.testing.assert_allclose(run(model, ROWS), ROWS @ weight + 1, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("kind", [*KINDS, TensorProto.FLOAT])
def test_the_pass_is_done_at_once(kind: int) -> None:
    """A second time nothing changes, and a float32 model stays as it is."""
    model = tiny(kind)
    before = model.SerializeToString(deterministic=True)
    half_to_float.apply(model)
    once = model.SerializeToString(deterministic=True)

    half_to_float.apply(model)

    assert model.SerializeToString(deterministic=True) == once
    assert (once == before) == (kind == TensorProto.FLOAT)


def test_a_cast_to_whole_numbers_stays() -> None:
    """Only casts between floats go; rounding to integers is part of the model."""
    model = tiny(TensorProto.FLOAT16)
    model.graph.node[0].attribute[0].i = TensorProto.INT32
    back = helper.make_node("Cast", ["h"], ["g"], to=TensorProto.FLOAT16)
    model.graph.node.insert(1, back)
    model.graph.node[2].input[0] = "g"
    expected = run(model, ROWS)

    half_to_float.apply(model)

    assert [node.op_type for node in model.graph.node][:2] == ["Cast", "Cast"]
    np.testing.assert_allclose(run(model, ROWS), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_numbers_too_large_for_float32_become_its_largest() -> None:
    """A mask of −1e300 stays finite, infinity stays infinity."""
    model = tiny(TensorProto.DOUBLE)
    weight = np.array([[1e300, -1e300, np.inf]] * 4)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))

    half_to_float.apply(model)

    found = numpy_helper.to_array(model.graph.initializer[0])[0]
    largest = np.finfo(np.float32).max
    assert found.tolist() == [largest, -largest, np.inf]


@pytest.mark.parametrize(
    ("kind", "dtype"), [(TensorProto.FLOAT16, "float16"), (TensorProto.DOUBLE, "float64")]
)
def test_inspection_accepts_other_precisions(kind: int, dtype: str, tmp_path: Path) -> None:
    """Input and scores may be of another precision, and their weights count."""
    path = tmp_path / "model.onnx"
    path.write_bytes(_throughout(kind).SerializeToString())

    artifact = inspect_onnx(path)

    assert (artifact.input.dtype, artifact.output.dtype) == (dtype, dtype)
    assert artifact.parameters == 12


@pytest.mark.parametrize("kind", [TensorProto.BFLOAT16, TensorProto.UINT32])
def test_inspection_refuses_other_inputs(kind: int, tmp_path: Path) -> None:
    """What numpy cannot feed or no noise can move is refused, with the types that are allowed."""
    path = tmp_path / "model.onnx"
    path.write_bytes(_throughout(kind).SerializeToString())

    with pytest.raises(
        ModelRefused, match="expected float32, float16, float64, uint8, int8, int32 or int64"
    ):
        inspect_onnx(path)


def _throughout(kind: int) -> ModelProto:
    """Logits = x·w where everything is of that type."""
    weight = np.ones((4, 3), helper.tensor_dtype_to_np_dtype(kind))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "all",
        [helper.make_tensor_value_info("x", kind, ("batch", 4))],
        [helper.make_tensor_value_info("y", kind, ("batch", 3))],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_sorting_puts_nodes_behind_what_they_read() -> None:
    """A graph whose casts were appended is put in order; one in order stays as it is."""
    model = onnx.load_model_from_string(halved("small_cnn", keeps_ends=True))
    names = {node.name or node.output[0] for node in model.graph.node}

    sort_nodes.apply(model)

    onnx.checker.check_model(model)
    assert {node.name or node.output[0] for node in model.graph.node} == names
    once = model.SerializeToString(deterministic=True)
    sort_nodes.apply(model)
    assert model.SerializeToString(deterministic=True) == once


def test_a_cycle_is_left_for_the_checker() -> None:
    """Nodes that wait for each other have no order and stay."""
    model = tiny(TensorProto.FLOAT)
    model.graph.node[0].input[0] = "y"
    before = model.SerializeToString(deterministic=True)

    sort_nodes.apply(model)

    assert model.SerializeToString(deterministic=True) == before
