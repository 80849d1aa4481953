"""Laws of the normalise passes: each changes the form of a graph, none its logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from stages.errors import ModelRefused
from stages.passes import (
    constants_to_initializers,
    cut_to_logits,
    default_domain,
    drop_identities,
    drop_unused_initializers,
    fold_constants,
    free_batch,
    normalise,
    rename_nodes,
)
from tests.support import zoo

Array = npt.NDArray[np.generic]


def run(model: ModelProto, images: Array) -> Array:
    """The first output of the model in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])


def classifier(
    nodes: list[NodeProto],
    constants: dict[str, Array] | None = None,
    *,
    shape: tuple[int | str, ...] = ("batch", 4),
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
) -> ModelProto:
    """A graph from `x` of that shape to outputs (batch, 3)."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, (shape[0], 3)) for one in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def operators(model: ModelProto) -> list[str]:
    """Operator of each node, in order."""
    return [node.op_type for node in model.graph.node]


WEIGHT = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
IMAGES = np.linspace(-2, 2, 20, dtype=np.float32).reshape(5, 4)
LOGITS = helper.make_node("MatMul", ["x", "w"], ["z"])


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_cut_gives_the_logits(operator: str) -> None:
    """After the cut the output is what the softmax read, with its shape, and nothing else."""
    nodes = [
        LOGITS,
        helper.make_node(operator, ["z"], ["p"], axis=-1),
        helper.make_node("Identity", ["p"], ["q"]),
        helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT),
    ]
    model = classifier(nodes, {"w": WEIGHT})

    cut_to_logits.apply(model)

    onnx.checker.check_model(model)
    assert operators(model) == ["MatMul"]
    np.testing.assert_allclose(run(model, IMAGES), IMAGES @ WEIGHT, rtol=1e-6, atol=1e-6)


def test_cut_drops_label_branches() -> None:
    """An output that is no class score goes, with all it alone needs."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("ArgMax", ["y"], ["label"], axis=1),
    ]
    model = classifier(nodes, {"w": WEIGHT})
    model.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, None))

    cut_to_logits.apply(model)

    assert operators(model) == ["MatMul"]
    assert [value.name for value in model.graph.output] == ["y"]


def test_folding_computes_constant_weights() -> None:
    """A weight transposed in the graph becomes a constant; BatchNormalization is not fused."""
    ones = np.ones(3, np.float32)
    nodes = [
        helper.make_node("Transpose", ["wt"], ["w"], perm=[1, 0]),
        LOGITS,
        helper.make_node("BatchNormalization", ["z", "s", "s", "s", "s"], ["y"]),
    ]
    model = classifier(nodes, {"wt": np.ascontiguousarray(WEIGHT.T), "s": ones})
    before = run(model, IMAGES)

    fold_constants.apply(model)

    assert operators(model)[-2:] == ["MatMul", "BatchNormalization"]
    assert "Transpose" not in operators(model)
    np.testing.assert_array_equal(run(model, IMAGES), before)


def test_folding_never_grows_the_file() -> None:
    """Operators that make much out of little are not computed beforehand."""
    shape = np.array([2**40], np.int64)
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["bomb"]),
        helper.make_node("ReduceSum", ["bomb"], ["sum"], keepdims=0),
        LOGITS,
        helper.make_node("Add", ["z", "sum"], ["y"]),
    ]
    model = classifier(nodes, {"w": WEIGHT, "n": shape})

    fold_constants.apply(model)

    assert "ConstantOfShape" in operators(model)


def test_long_domain_name_becomes_short() -> None:
    """`ai.onnx` and the empty string are the same domain; only the short one is left."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], domain="ai.onnx")
    model = classifier([node], {"w": WEIGHT})
    model.opset_import[0].domain = "ai.onnx"

    default_domain.apply(model)

    assert [one.domain for one in (*model.graph.node, *model.opset_import)] == ["", ""]


def test_constants_become_initializers() -> None:
    """Every numeric Constant becomes an initializer of its name and value, outputs excepted."""
    values = {
        "a": {"value": numpy_helper.from_array(WEIGHT)},
        "b": {"value_float": 2.5},
        "c": {"value_floats": [1.0, 2.0]},
        "d": {"value_int": 3},
        "e": {"value_ints": [4, 5]},
    }
    nodes = [helper.make_node("Constant", [], [name], **value) for name, value in values.items()]
    nodes.append(helper.make_node("Constant", [], ["y"], value_float=1.0))
    model = classifier([*nodes, helper.make_node("Constant", [], ["text"], value_string="t")])

    constants_to_initializers.apply(model)

    found = {one.name: numpy_helper.to_array(one).tolist() for one in model.graph.initializer}
    assert found == {"a": WEIGHT.tolist(), "b": 2.5, "c": [1.0, 2.0], "d": 3, "e": [4, 5]}
    assert [node.output[0] for node in model.graph.node] == ["y", "text"]


def test_identities_are_stepped_over() -> None:
    """Chains of Identity and Dropout go; the node that writes the output and masks stay."""
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Dropout", ["a"], ["b"]),
        helper.make_node("Dropout", ["b"], ["c", "mask"]),
        helper.make_node("MatMul", ["c", "w"], ["z"]),
        helper.make_node("Identity", ["z"], ["y"]),
    ]
    model = classifier(nodes, {"w": WEIGHT})
    before = run(model, IMAGES)

    drop_identities.apply(model)

    assert operators(model) == ["Dropout", "MatMul", "Identity"]
    np.testing.assert_array_equal(run(model, IMAGES), before)


def test_identities_read_by_a_branch_are_stepped_over() -> None:
    """A subgraph that reads a dropped Identity reads its input instead."""
    info = [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    branch = helper.make_graph([helper.make_node("Relu", ["a"], ["r"])], "branch", [], info)
    nodes = [
        LOGITS,
        helper.make_node("Identity", ["z"], ["a"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
    ]
    model = classifier(nodes, {"w": WEIGHT, "yes": np.array(True)})
    before = run(model, IMAGES)

    drop_identities.apply(model)

    assert operators(model) == ["MatMul", "If"]
    np.testing.assert_array_equal(run(model, IMAGES), before)


def test_node_names_are_unique_and_harmless() -> None:
    """Whatever nodes were called, afterwards each name says operator and place."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="__class__"),
        helper.make_node("MatMul", ["a", "w"], ["y"], name="__class__"),
    ]
    model = classifier(nodes, {"w": WEIGHT})

    rename_nodes.apply(model)

    assert [node.name for node in model.graph.node] == ["Relu_0_", "MatMul_1_"]


def test_only_read_initializers_stay() -> None:
    """An initializer stays if a node, a branch or an output reads it."""
    info = [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    branch = helper.make_graph([helper.make_node("Relu", ["inner"], ["r"])], "branch", [], info)
    nodes = [helper.make_node("If", ["yes"], ["a"], then_branch=branch, else_branch=branch)]
    one = np.ones((1, 3), np.float32)
    model = classifier(nodes, {"yes": np.array(True), "inner": one, "y": one, "unused": one})

    drop_unused_initializers.apply(model)

    assert [one.name for one in model.graph.initializer] == ["yes", "inner", "y"]


@pytest.mark.parametrize("batch", [1, 2])
def test_batch_written_into_a_reshape_is_freed(batch: int) -> None:
    """A model exported for a fixed batch gives the same logits per sample at any batch."""
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    constants = {"shape": np.array([batch, 4], np.int64), "w": WEIGHT}
    model = classifier(nodes, constants, shape=(batch, 2, 2))

    free_batch.apply(model)

    onnx.checker.check_model(model)
    np.testing.assert_allclose(
        *(run(model, IMAGES.reshape(5, 2, 2)), IMAGES @ WEIGHT), rtol=1e-6, atol=1e-6
    )


def test_batch_that_cannot_be_freed_stays() -> None:
    """Where samples are mixed the model is left alone."""
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    constants = {"shape": np.array([3, 4], np.int64), "w": WEIGHT}
    model = classifier(nodes, constants, shape=(2, 6))
    before = model.SerializeToString(deterministic=True)

    free_batch.apply(model)

    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("source", "target", "batch", "inner", "entry"),
    [
        ((7919, 16, 4), (1, 64), 1, 1, 0),
        ((17, 7919, 96), (17, 1, 3, 32), 1, 1, 1),
        ((17, 7919, 32), (17, 2, 16), 1, 1, 1),
        ((17, 7919, 2, 16), (17, 32), 1, 1, 0),
        ((17 * 7919, 32), (17, 2, 32), 2, 1, 1),
        ((7919 * 2, 17, 16), (2, 2, 17, 16), 2, 2, 0),
        ((7919 * 2, 17, 16), (2, 2, 17, 16), 2, 1, 1),
        ((17, 7919, 32), (17, 4, 16), 2, 1, 1),
        ((7919, 6), (3, 4), 2, 1, None),
        ((5, 6), (30,), 1, 1, None),
    ],
)
def test_batch_entry(
    source: tuple[int, ...], target: tuple[int, ...], batch: int, inner: int, entry: int | None
) -> None:
    """The entry of a target that holds the batch is found, also where axes were merged behind it
    and it would fit two entries.
    """
    assert free_batch.batch_entry(source, target, batch, inner) == entry


@pytest.mark.parametrize("exporter", zoo.EXPORTERS)
@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
def test_normalising_changes_no_logits(architecture: str, exporter: str) -> None:
    """The normalised export is valid, free in its batch, and computes what the net computes."""
    model = onnx.load_model_from_string(zoo.exported(architecture, exporter))
    before = model.SerializeToString(deterministic=True)

    plain = normalise(model)

    onnx.checker.check_model(plain)
    assert model.SerializeToString(deterministic=True) == before
    assert {"Constant", "Identity", "Dropout"}.isdisjoint(operators(plain))
    images = zoo.images(3)
    expected = zoo.net(architecture)(images).detach().numpy()
    np.testing.assert_allclose(run(plain, images.numpy()), expected, rtol=1e-4, atol=1e-4)


def test_a_softmax_of_the_input_is_no_classifier() -> None:
    """There are no logits before a softmax that reads the model's input itself."""
    model = classifier([helper.make_node("Softmax", ["x"], ["y"])], shape=("batch", 3))

    with pytest.raises(ModelRefused, match="keeps no order"):
        cut_to_logits.apply(model)


def test_without_one_score_output_nothing_is_cut() -> None:
    """A model of two score outputs is not cut, whichever was meant."""
    nodes = [
        LOGITS,
        helper.make_node("Softmax", ["z"], ["y"]),
        helper.make_node("Relu", ["z"], ["t"]),
    ]
    model = classifier(nodes, {"w": WEIGHT}, outputs=("y", "t"))
    before = model.SerializeToString(deterministic=True)

    cut_to_logits.apply(model)

    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(("opset", "axis"), [(11, None), (13, None), (13, 1)])
def test_a_softmax_over_classes_is_cut(opset: int, axis: int | None) -> None:
    """The default axis changed with opset 13."""
    attributes = {} if axis is None else {"axis": axis}
    softmax = helper.make_node("Softmax", ["z"], ["y"], **attributes)
    model = classifier([LOGITS, softmax], {"w": WEIGHT}, opset=opset)

    cut_to_logits.apply(model)

    assert operators(model) == ["MatMul"]


@pytest.mark.parametrize(("opset", "axis"), [(11, 0), (13, 0), (13, -2)])
def test_a_softmax_over_samples_is_refused(opset: int, axis: int) -> None:
    """It mixes the samples of a batch, so that no sample has scores of its own."""
    softmax = helper.make_node("Softmax", ["z"], ["y"], axis=axis)
    model = classifier([LOGITS, softmax], {"w": WEIGHT}, opset=opset)

    with pytest.raises(ModelRefused, match="keeps no order"):
        cut_to_logits.apply(model)


def test_a_name_a_branch_defines_itself_stays() -> None:
    """A dropped Identity's name that a branch uses for its own value keeps meaning that value."""
    info = [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    inner = [helper.make_node("Neg", ["z"], ["a"]), helper.make_node("Relu", ["a"], ["r"])]
    branch = helper.make_graph(inner, "branch", [], info)
    nodes = [
        LOGITS,
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
    ]
    model = classifier(nodes, {"w": WEIGHT, "yes": np.array(True)})
    expected = run(model, IMAGES)
    outer = helper.make_node("Identity", ["x"], ["a"])
    model.graph.node.insert(0, outer)

    drop_identities.apply(model)

    assert operators(model) == ["MatMul", "If"]
    assert [list(node.input) for node in model.graph.node[1].attribute[0].g.node] == [["z"], ["a"]]
    np.testing.assert_array_equal(run(model, IMAGES), expected)


@pytest.mark.parametrize("architecture", ["small_cnn", "vit"])
def test_normalising_twice_is_normalising_once(architecture: str) -> None:
    """A normalised model is in plain form already: the same nodes with the same names."""
    once = normalise(onnx.load_model_from_string(zoo.exported(architecture, "legacy")))

    twice = normalise(once)

    assert [node.name for node in twice.graph.node] == [node.name for node in once.graph.node]
    images = zoo.images(2).numpy()
    np.testing.assert_array_equal(run(twice, images), run(once, images))
