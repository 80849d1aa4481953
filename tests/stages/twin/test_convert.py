"""Laws of conversion: weights are Parameters of true modules, and failures name their node."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx2torch.onnx_node import OnnxNode
from torch import fx, nn

from stages.errors import ConversionError
from stages.passes import normalise
from stages.twin.advice import advice
from stages.twin.convert import build_module, trainable_share
from tests.support import zoo

LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)

MIX: list[list[float]] = [[1, 2], [3, 4]]
LAST = helper.make_node("MatMul", ["last", "mix"], ["y"])
"""A last layer, without which a graph of this size would be all tail."""


def twin(architecture: str, exporter: str) -> torch.fx.GraphModule:
    """The twin of an export of the zoo."""
    return build_module(
        normalise(onnx.load_model_from_string(zoo.exported(architecture, exporter)))
    )


def layers(module: nn.Module) -> list[str]:
    """Sorted names of the classes of all layers with weights."""
    return sorted(type(part).__name__ for part in module.modules() if isinstance(part, LAYERS))


def tiny(nodes: list[onnx.NodeProto], constants: dict[str, list[float]]) -> ModelProto:
    """A normalised graph from `x` (batch, 2) to `y` (batch, 2)."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 2))],
        [
            numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in constants.items()
        ],
    )
    return normalise(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


@pytest.mark.parametrize("architecture", ["small_cnn", "vgg_bn", "resnet", "mobilenet", "densenet"])
def test_preserved_layers_are_the_nets_own(architecture: str) -> None:
    """An export that keeps BatchNorm gives exactly the layers the net has."""
    assert layers(twin(architecture, "legacy-preserve")) == layers(zoo.net(architecture))


@pytest.mark.parametrize("exporter", zoo.EXPORTERS)
@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
def test_weights_are_trainable(architecture: str, exporter: str) -> None:
    """At least 99 % of the weights are Parameters, in eval mode, and every one gets a gradient."""
    module = twin(architecture, exporter)

    module(zoo.images(2)).square().sum().backward()

    assert not any(part.training for part in module.modules())
    assert trainable_share(module) >= 0.99
    assert all(one.grad is not None for one in module.parameters())


def test_matrix_products_are_linear_layers() -> None:
    """Every product of the transformer with a constant matrix is an `nn.Linear`."""
    for exporter in zoo.EXPORTERS:
        assert layers(twin("vit", exporter)).count("Linear") == 9


def test_what_is_no_weight_stays_a_buffer() -> None:
    """Preprocessing, a mean, a mask and an epsilon are constants; scale and shift are weights."""
    model = tiny(
        [
            helper.make_node("Sub", ["x", "pixel_mean"], ["a"]),
            helper.make_node("Mul", ["a", "pixel_scale"], ["b"]),
            helper.make_node("MatMul", ["b", "weight"], ["c"]),
            helper.make_node("Sub", ["c", "mean"], ["d"]),
            helper.make_node("Mul", ["d", "gamma"], ["e"]),
            helper.make_node("Add", ["e", "beta"], ["f"]),
            helper.make_node("Add", ["f", "mask"], ["g"]),
            helper.make_node("Softmax", ["g"], ["h"]),
            helper.make_node("Add", ["h", "epsilon"], ["last"]),
            LAST,
        ],
        {
            "pixel_mean": [1, 2],
            "pixel_scale": [3, 4],
            "weight": [[5, 6], [7, 8]],
            "mean": [9, 10],
            "gamma": [11, 12],
            "beta": [13, 14],
            "mask": [0, 0],
            "epsilon": [0.5],
            "mix": MIX,
        },
    )

    module = build_module(model)

    weights = sorted(one.detach().sum().item() for one in module.parameters())
    assert weights == [10.0, 23.0, 26.0, 27.0]
    assert trainable_share(module) == 1.0


def test_a_weight_that_stays_a_buffer_costs_its_share() -> None:
    """What is read behind the first weights and is no statistic and no mask counts as frozen."""
    model = tiny(
        [
            helper.make_node("MatMul", ["x", "weight"], ["a"]),
            helper.make_node("Max", ["a", "floor"], ["last"]),
            LAST,
        ],
        {"weight": [[5, 6], [7, 8]], "floor": [1, 2], "mix": MIX},
    )

    assert trainable_share(build_module(model)) == pytest.approx(8 / 10)


@pytest.mark.parametrize(
    ("added", "is_mask"), [([0, -100], True), ([0, -1], False), ([-3, 4], False)]
)
def test_a_mask_is_told_from_a_bias_by_its_values(added: list[float], is_mask: bool) -> None:
    """Before a softmax, zeros and numbers too low to matter are a mask; all else is a weight."""
    model = tiny(
        [
            helper.make_node("MatMul", ["x", "weight"], ["a"]),
            helper.make_node("Add", ["a", "added"], ["b"]),
            helper.make_node("Softmax", ["b"], ["y"]),
        ],
        {"weight": [[5, 6], [7, 8]], "added": added},
    )

    weights = list(build_module(model).parameters())

    assert len(weights) == (1 if is_mask else 2)


def test_functional_batch_norm_keeps_its_statistics() -> None:
    """Where one parameter is computed, scale and bias are still weights, mean and variance not."""
    model = tiny(
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=0),
            helper.make_node("BatchNormalization", ["x", "scale", "bias", "m", "var"], ["y"]),
        ],
        {"scale": [1, 2], "bias": [3, 4], "var": [5, 6]},
    )

    module = build_module(model)
    module(torch.ones(3, 2)).sum().backward()

    assert sorted(one.detach().sum().item() for one in module.parameters()) == [3.0, 7.0]


def test_a_module_without_weights_has_share_zero() -> None:
    """No weights, no share."""
    assert trainable_share(fx.symbolic_trace(nn.ReLU())) == 0.0


def test_missing_converters_are_named() -> None:
    """An operator without counterpart is named with opset and node."""
    model = tiny([helper.make_node("Hardmax", ["x"], ["last"]), LAST], {"mix": MIX})

    with pytest.raises(
        ConversionError, match=r"`Hardmax` at opset 17 \(node `Hardmax_0_`\): there"
    ):
        build_module(model)


def test_refused_nodes_are_named() -> None:
    """A converter that refuses a node's attributes is named with its reason."""
    ones: list[float] = [1, 1]
    node = helper.make_node(
        "BatchNormalization", ["z", "o", "o", "o", "o"], ["last"], training_mode=1
    )
    model = tiny([helper.make_node("Relu", ["x"], ["z"]), node, LAST], {"o": ones, "mix": MIX})

    with pytest.raises(ConversionError, match=r"node `BatchNormalization_1_`\): .* statistics"):
        build_module(model)


def test_a_graph_onnx2torch_cannot_put_together_is_refused() -> None:
    """Where every node converts alone but not the whole, the model is named as the reason."""
    model = tiny([helper.make_node("Relu", ["x"], ["last"]), LAST], {"mix": MIX})
    model.graph.output[0].name = "x"

    with pytest.raises(ConversionError, match=r"convert the model at opset 17: .*`x`; export"):
        build_module(model)


BUMP = helper.make_node("Hardmax", ["x"], ["last"])
TRAINING = helper.make_node(
    "BatchNormalization", ["x", "o", "o", "o", "o"], ["last"], training_mode=1
)


@pytest.mark.parametrize(
    ("node", "opset", "advice"),
    [
        (BUMP, 17, "without it"),
        (BUMP, 20, "without it"),
        (TRAINING, 17, "in eval mode"),
        (TRAINING, 20, "in eval mode"),
    ],
)
def test_the_advice_can_be_followed(node: NodeProto, opset: int, advice: str) -> None:
    """No opset is named at which the operator has no converter either."""
    ones: list[float] = [1, 1]
    model = tiny([node, LAST], {"o": ones, "mix": MIX})
    model.opset_import[0].version = opset

    with pytest.raises(ConversionError, match=f"export the model {advice}"):
        build_module(model)


def test_an_opset_is_advised_where_the_operator_has_a_converter() -> None:
    """A node in the way of a new opset may convert at the one that is covered best."""
    node = OnnxNode(helper.make_node("Relu", ["x"], ["y"]), "relu")

    assert advice(20, node) == "export the model at opset 17"
    assert advice(20) == "export the model at opset 17"
    assert advice(17) == "export the model with another exporter"


def test_building_leaves_the_model_as_it_was() -> None:
    """Neither promotion nor an added Identity writes into the model it is given."""
    model = tiny([helper.make_node("Split", ["x"], ["y", "z"], axis=1)], {})
    before = model.SerializeToString(deterministic=True)

    assert build_module(model)(torch.ones(3, 2)).shape == (3, 1)
    assert model.SerializeToString(deterministic=True) == before


def test_a_tied_weight_stays_the_same_number_twice() -> None:
    """A weight that two layers share becomes two Parameters of equal value."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]

    module = build_module(tiny(nodes, {"w": [[1, 2], [3, 4]]}))

    one, other = module.parameters()
    assert torch.equal(one, other)
    assert one is not other
