"""Laws of quantised models: the twin has their weights as floats, and follows onnxruntime."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import fx

from stages.converters.quantisation import DynamicQuantizeLinear, straight_through
from stages.errors import ModelRefused
from stages.onnx_file.graph_logic import find_graph_logic
from stages.onnx_file.inspection import inspect_onnx
from stages.passes import dequantise_weights, integer_products, normalise
from stages.twin import sites
from stages.twin.convert import build_module, trainable_share
from tests.support import zoo
from tests.support.quantised_models import WAYS, quantised

Array = npt.NDArray[Any]

NETS = ("small_cnn", "resnet", "mlp")
EXACT = 1e-5  # relative, of sums in float32
ONE_LEVEL = 5e-2  # relative, where another order of a sum tips a rounding over to the next level


def model_of(architecture: str, way: str) -> ModelProto:
    """That quantised net."""
    return onnx.load_model_from_string(quantised(architecture, way))


@cache
def twin_of(architecture: str, way: str) -> fx.GraphModule:
    """The twin of that quantised net."""
    return build_module(normalise(model_of(architecture, way)))


def run(model: ModelProto, images: Array) -> Array:
    """What onnxruntime computes for exactly this graph, unoptimised."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", NETS)
def test_the_twin_follows_onnxruntime(architecture: str, way: str) -> None:
    """Nearly all logits are equal; what differs does so by a level of the quantisation."""
    images = zoo.images(7)
    expected = run(model_of(architecture, way), images.numpy())

    with torch.no_grad():
        found = twin_of(architecture, way)(images).numpy()

    gaps = np.abs(found - expected) / max(1.0, float(np.abs(expected).max()))
    assert np.median(gaps) <= EXACT
    assert gaps.max() <= (EXACT if way.startswith("dynamic") else ONE_LEVEL)
    assert (found.argmax(1) == expected.argmax(1)).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", NETS)
def test_weights_are_trainable(architecture: str, way: str) -> None:
    """At least 99 % of the floats are Parameters, as many as the net has, and all get gradients."""
    module = twin_of(architecture, way)
    module.zero_grad()

    module(zoo.images(3)).square().sum().backward()

    original = build_module(
        normalise(onnx.load_model_from_string(zoo.exported(architecture, "legacy")))
    )
    assert trainable_share(module) >= 0.99
    assert sum(one.numel() for one in module.parameters()) == sum(
        one.numel() for one in original.parameters()
    )
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in module.parameters())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", NETS)
def test_noise_sites_are_those_of_the_float_model(architecture: str, way: str) -> None:
    """Quantisation neither hides nor adds a place for noise."""
    images = zoo.images(3)
    original = build_module(
        normalise(onnx.load_model_from_string(zoo.exported(architecture, "legacy")))
    )

    kinds = []
    for module in (twin_of(architecture, way), original):
        split = sites.find_split(module, images)
        found = sites.find_sites(module, images, split.last)
        kinds.append([(site.channels, site.axis) for site in found])

    # a linear layer before a BatchNorm is a product and an addition here, so it stays a site
    assert [one for one in kinds[0] if one in kinds[1]][: len(kinds[1])] == kinds[1]
    assert len(kinds[1]) <= len(kinds[0]) <= len(kinds[1]) + (architecture == "mlp")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", NETS)
def test_quantisation_is_no_trigger(architecture: str, way: str) -> None:
    """Inspection raises nothing that blocks."""
    found = find_graph_logic(model_of(architecture, way))

    assert [each for each in found if each.severity == "blocking"] == []


@pytest.mark.parametrize("way", WAYS)
def test_inspection_accepts_quantised_files(way: str, tmp_path: Path) -> None:
    """Whole numbers that stand for weights count as parameters."""
    path = tmp_path / "model.onnx"
    path.write_bytes(quantised("small_cnn", way))

    artifact = inspect_onnx(path)

    weights = sum(one.numel() for one in zoo.net("small_cnn").parameters())
    assert artifact.output.shape == (None, zoo.CLASSES)
    assert artifact.parameters >= 0.99 * weights


@pytest.mark.parametrize("way", WAYS)
def test_passes_keep_the_logits(way: str) -> None:
    """Dequantised weights and float products compute what the integers computed."""
    model = model_of("small_cnn", way)
    images = zoo.images(5).numpy()
    expected = run(model, images)

    dequantise_weights.apply(model)
    integer_products.apply(model)

    onnx.checker.check_model(model)
    assert {"MatMulInteger", "ConvInteger"}.isdisjoint({node.op_type for node in model.graph.node})
    gaps = np.abs(run(model, images) - expected)
    assert np.median(gaps) <= EXACT
    assert gaps.max() <= ONE_LEVEL * np.abs(expected).max()


@pytest.mark.parametrize("one", [dequantise_weights, integer_products])
@pytest.mark.parametrize("way", ["static", "dynamic", "none"])
def test_passes_are_done_at_once(one: Any, way: str) -> None:
    """A second time nothing changes, and a float model stays as it is."""
    content = zoo.exported("small_cnn", "legacy") if way == "none" else quantised("small_cnn", way)
    model = onnx.load_model_from_string(content)
    before = model.SerializeToString(deterministic=True)
    one.apply(model)
    once = model.SerializeToString(deterministic=True)

    one.apply(model)

    assert model.SerializeToString(deterministic=True) == once
    assert (once == before) == (way == "none" or (way, one) in UNTOUCHED)


@pytest.mark.parametrize("way", WAYS)
def test_quantised_files_are_told_from_others(way: str) -> None:
    """A file that rounds what it computes is quantised; the export it was made of is not."""
    plain = onnx.load_model_from_string(zoo.exported("small_cnn", "legacy"))

    assert dequantise_weights.is_quantised(model_of("small_cnn", way))
    assert not dequantise_weights.is_quantised(plain)


UNTOUCHED = [("static", integer_products), ("dynamic", dequantise_weights)]


def small(
    nodes: list[NodeProto], constants: dict[str, Array], *, opset: int = 17, classes: int = 3
) -> ModelProto:
    """A graph from `x` (batch, 4) to `y` (batch, classes)."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", classes))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


NODE = helper.make_node
WHOLE = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
ROWS = np.linspace(-2, 3, 20, dtype=np.float32).reshape(5, 4)


def dynamic(*after: NodeProto, scales: list[str] | None = None) -> ModelProto:
    """A product of integers, its cast and nodes behind it; `t` and `u` are scales of the weight."""
    nodes = [
        NODE("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        NODE("Mul", scales or ["s", "t"], ["both"]),
        NODE("MatMulInteger", ["q", "w", "z", "v"], ["i"]),
        NODE("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        *after,
    ]
    constants = {"w": WHOLE, "v": np.array([1, 0, -1], np.int8), "t": np.array(0.1, np.float32)}
    constants["u"] = np.array([0.1, 0.2, 0.3], np.float32)
    constants["odd"] = np.array([[0.1], [0.2], [0.3], [0.4], [0.5]], np.float32)
    constants["mix"] = np.arange(9, dtype=np.float32).reshape(3, 3) / 4
    return small(nodes, constants)


@pytest.mark.parametrize("scales", [["s", "t"], ["t", "s"], ["s", "u"]])
def test_scaled_products_become_floats(scales: list[str]) -> None:
    """The scale may be one number or one per output, on either side, and zero points count."""
    model = dynamic(NODE("Mul", ["both", "f"], ["y"]), scales=scales)
    expected = run(model, ROWS)

    integer_products.apply(model)

    operators = [node.op_type for node in model.graph.node]
    assert operators == ["DynamicQuantizeLinear", "Mul", "DequantizeLinear", "MatMul"]
    np.testing.assert_allclose(run(model, ROWS), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        dynamic(NODE("Relu", ["f"], ["h"]), NODE("MatMul", ["h", "mix"], ["y"])),
        dynamic(NODE("Mul", ["f", "f"], ["h"]), NODE("MatMul", ["h", "mix"], ["y"])),
        dynamic(NODE("Mul", ["f", "s"], ["y"])),
        dynamic(NODE("Mul", ["f", "both"], ["y"]), scales=["s", "s"]),
        dynamic(NODE("Mul", ["f", "both"], ["y"]), scales=["s", "odd"]),
        dynamic(NODE("Mul", ["f", "both"], ["h"]), NODE("Sub", ["h", "f"], ["y"])),
    ],
)
def test_other_products_stay_integers_and_convert(model: ModelProto) -> None:
    """A product used in another way is left to the converter, which makes it a linear layer."""
    before = model.SerializeToString()
    expected = run(model, ROWS)

    integer_products.apply(model)
    module = build_module(normalise(model))

    assert model.SerializeToString() == before
    with torch.no_grad():
        found = module(torch.from_numpy(ROWS)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert sum(one.numel() for one in module.parameters()) >= WHOLE.size


def test_weights_quantised_in_the_graph_are_computed() -> None:
    """A float weight that is quantised and dequantised becomes the float it stands for."""
    weight = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    nodes = [
        NODE("Constant", [], ["s"], value=numpy_helper.from_array(np.array(0.25, np.float32))),
        NODE("QuantizeLinear", ["w", "s", "z"], ["q"]),
        NODE("DequantizeLinear", ["q", "s", "z"], ["d"]),
        NODE("MatMul", ["x", "d"], ["y"]),
    ]
    model = small(nodes, {"w": weight, "z": np.array(0, np.int8)})

    dequantise_weights.apply(model)

    stored = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    np.testing.assert_allclose(stored["d"], np.round(weight * 4) / 4)
    assert [node.op_type for node in model.graph.node] == ["Constant", "MatMul"]


def test_a_constant_output_stays_a_node() -> None:
    """A dequantised constant that is the model's output is still written by its node."""
    constants = {"w": np.ones((1, 3), np.int8), "s": np.array(0.5, np.float32)}
    model = small([NODE("DequantizeLinear", ["w", "s"], ["y"])], constants)

    dequantise_weights.apply(model)

    assert [node.op_type for node in model.graph.node] == ["DequantizeLinear"]


def test_the_gradient_passes_inside_the_range() -> None:
    """Rounding is skipped by the gradient, a limit ends it, and the values are whole."""
    x = torch.tensor([-3.7, -0.5, 0.4, 1.5, 2.5, 9.1], requires_grad=True)

    found = straight_through(x, -2, 3)
    found.sum().backward()

    assert found.tolist() == [-2, 0, 0, 2, 2, 3]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 0]


def test_the_range_of_dynamic_quantisation_has_no_gradient() -> None:
    """Scale and zero point are numbers; the values alone carry the gradient."""
    x = torch.linspace(-1, 2, 7).requires_grad_()

    levels, scale, zero = DynamicQuantizeLinear()(x)

    assert (scale.requires_grad, zero.requires_grad, levels.requires_grad) == (False, False, True)
    levels.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * scale, torch.ones(7))


def test_many_noises_at_once_are_each_alone() -> None:
    """Mapped over a batch of tensors, each is quantised by its own range."""
    tensors = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(1))
    module = DynamicQuantizeLinear()

    together = torch.vmap(lambda one: module(one)[0])(tensors)

    torch.testing.assert_close(together, torch.stack([module(one)[0] for one in tensors]))


def test_operator_format_is_refused_with_advice(tmp_path: Path) -> None:
    """A file in the QOperator format is refused in a sentence that names QDQ."""
    constants = {"s": np.array(0.1, np.float32), "z": np.array(0, np.int8), "w": WHOLE}
    nodes = [
        NODE("QuantizeLinear", ["x", "s", "z"], ["q"]),
        NODE("QLinearMatMul", ["q", "s", "z", "w", "s", "z", "s", "z"], ["p"]),
        NODE("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    path = tmp_path / "model.onnx"
    path.write_bytes(small(nodes, constants).SerializeToString())

    with pytest.raises(ModelRefused, match=r"`QLinearMatMul`, quantised .* QDQ format") as told:
        inspect_onnx(path)

    assert "\n" not in str(told.value)
