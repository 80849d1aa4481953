"""Laws of models written by skl2onnx: their networks become twins, their trees are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from torch import fx

from stages.errors import ModelRefused, NoNoiseSites
from stages.onnx_file.inspection import inspect_onnx
from stages.passes import cut_to_logits, lower_ml_operators, merge_last_layers, normalise
from stages.twin import sites
from stages.twin.convert import build_module
from stages.types import NoiseSite
from tests.support.sklearn_models import NETWORKS, ROWS, exported, fitted

Array = npt.NDArray[Any]

TOLERANCE = 1e-5  # of float32 sums over a few features


def run(model: ModelProto, rows: Array = ROWS, output: int = 0) -> Array:
    """An output of the model in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return np.asarray(session.run(None, {source: rows})[output])


def cut(model: ModelProto) -> ModelProto:
    """A copy that ends in its logits."""
    copy = ModelProto()
    copy.CopyFrom(model)
    cut_to_logits.apply(copy)
    onnx.checker.check_model(copy)
    return copy


def twin_logits(model: ModelProto) -> Array:
    """What the twin computes for the rows."""
    with torch.no_grad():
        return np.asarray(build_module(normalise(model))(torch.from_numpy(ROWS)).numpy())


def softmax(logits: Array) -> Array:
    """Probabilities of the logits."""
    return np.asarray(torch.softmax(torch.from_numpy(logits), 1).numpy())


@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_become_twins(name: str, classes: int, zipmap: bool, tmp_path: Path) -> None:
    """A network behind any preparation is accepted, cut to logits, and has neurons to perturb."""
    proto = exported(fitted(name, classes), zipmap=zipmap)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())

    artifact = inspect_onnx(path)
    found = twin_logits(proto)

    assert (artifact.output.shape[1], artifact.findings) == (classes, ())
    np.testing.assert_allclose(found, run(cut(proto)), rtol=TOLERANCE, atol=TOLERANCE)
    probabilities = fitted(name, classes).predict_proba(ROWS)
    np.testing.assert_allclose(softmax(found), probabilities, rtol=1e-4, atol=1e-5)
    module = build_module(normalise(proto))
    split = sites.find_split(module, torch.from_numpy(ROWS))
    assert split.classes == classes
    assert _places(module)[-1].channels == 8


@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["logistic", "sgd", "scaled"])
def test_linear_models_have_no_neurons(name: str, classes: int, zipmap: bool) -> None:
    """The scores decide as the model does, and there is no layer before the last."""
    model = fitted(name, classes)
    proto = exported(model, zipmap=zipmap)
    module = build_module(normalise(proto))

    found = twin_logits(proto)

    np.testing.assert_allclose(found, run(cut(proto)), rtol=TOLERANCE, atol=TOLERANCE)
    assert (found.argmax(axis=1) == model.predict(ROWS)).all()
    with pytest.raises(NoNoiseSites, match=r"no neurons to perturb|joins 2 values"):
        _places(module)


def _places(module: fx.GraphModule) -> tuple[NoiseSite, ...]:
    split = sites.find_split(module, torch.from_numpy(ROWS))
    return sites.find_sites(module, torch.from_numpy(ROWS), split.last)


def test_scores_without_probabilities_are_kept() -> None:
    """A linear model of three classes gives its decision function."""
    model = fitted("ridge", 3)

    found = twin_logits(exported(model))

    np.testing.assert_allclose(found, model.decision_function(ROWS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "operator"),
    [(RandomForestClassifier(3), "TreeEnsembleClassifier"), (SVC(), "SVMClassifier")],
)
def test_models_without_layers_are_refused(
    model: BaseEstimator, operator: str, tmp_path: Path
) -> None:
    """Trees and support vectors are refused by the name of their operator."""
    path = tmp_path / "model.onnx"
    model.fit(ROWS, np.arange(len(ROWS)) % 3)
    path.write_bytes(exported(model).SerializeToString())

    with pytest.raises(ModelRefused, match=f"decides by `{operator}`, which has no neurons"):
        inspect_onnx(path)


def graph(
    nodes: list[NodeProto],
    constants: dict[str, Array] | None = None,
    *,
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    classes: int = 2,
) -> ModelProto:
    """A graph from `x` (batch, 6) to `y` (batch, classes)."""
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, ("batch", 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", classes))],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=imports, ir_version=8)


def ml(operator: str, inputs: list[str], outputs: list[str], **more: Any) -> NodeProto:
    """A node of the domain `ai.onnx.ml`."""
    return helper.make_node(operator, inputs, outputs, domain="ai.onnx.ml", **more)


def linear(transform: str, rows: int, classes: int = 2) -> NodeProto:
    """A LinearClassifier with that many rows of coefficients."""
    numbers = np.linspace(-1, 1, 6 * rows).tolist()
    return ml(
        *("LinearClassifier", ["x"], ["label", "y"]),
        coefficients=numbers,
        intercepts=np.linspace(0.1, 0.3, rows).tolist(),
        classlabels_ints=list(range(classes)),
        post_transform=transform,
    )


def lowered() -> list[ModelProto]:
    """Graphs of one operator each, in every form."""
    scales = {"offset": np.arange(6.0).tolist(), "scale": np.linspace(1, 2, 6).tolist()}
    columns = {"c": np.array([[0, 3, 5]])}
    return [
        *(graph([ml("Normalizer", ["x"], ["y"], norm=n)], classes=6) for n in ("L1", "L2", "MAX")),
        graph([ml("Normalizer", ["x"], ["y"])], classes=6, opset=18),
        graph([ml("Scaler", ["x"], ["y"], **scales)], classes=6),
        graph([ml("Scaler", ["x"], ["y"], offset=[1.0], scale=[2.0])], classes=6),
        graph([ml("Scaler", ["x"], ["y"], **scales)], classes=6, kind=TensorProto.INT64),
        *(graph([linear(t, 2)]) for t in ("NONE", "LOGISTIC", "SOFTMAX")),
        *(graph([linear(t, 1)]) for t in ("NONE", "LOGISTIC", "SOFTMAX")),
        *(graph([linear(t, 3, 3)], classes=3) for t in ("NONE", "LOGISTIC", "SOFTMAX")),
        graph([ml("ArrayFeatureExtractor", ["x", "c"], ["y"])], columns, classes=3),
    ]


@pytest.mark.parametrize("model", lowered(), ids=lambda one: str(one.graph.node[0].op_type))
def test_lowering_keeps_the_values(model: ModelProto) -> None:
    """Standard operators compute what onnxruntime's own do; a second time nothing changes."""
    rows = np.concatenate([ROWS[:7], np.zeros((1, 6), np.float32)])
    if model.graph.input[0].type.tensor_type.elem_type == TensorProto.INT64:
        rows = (5 * rows).astype(np.int64)
    expected = run(model, rows)

    lower_ml_operators.apply(model)

    onnx.checker.check_model(model)
    assert {node.domain for node in model.graph.node} == {""}
    np.testing.assert_allclose(run(model, rows), expected, rtol=TOLERANCE, atol=TOLERANCE)
    once = model.SerializeToString(deterministic=True)
    lower_ml_operators.apply(model)
    assert model.SerializeToString(deterministic=True) == once


def test_what_is_read_or_computed_is_not_lowered() -> None:
    """A label that the scores need, and columns found at run time, stay as they are."""
    label = helper.make_node("Cast", ["label"], ["z"], to=TensorProto.FLOAT)
    columns = [
        helper.make_node("ArgMax", ["x"], ["c"], axis=1, keepdims=0),
        ml("ArrayFeatureExtractor", ["x", "c"], ["y"]),
    ]
    for model in (graph([linear("NONE", 2), label]), graph(columns)):
        before = model.SerializeToString(deterministic=True)

        lower_ml_operators.apply(model)

        assert model.SerializeToString(deterministic=True) == before


def test_a_transform_no_network_has_is_refused() -> None:
    """Probit scores are refused by name, with the advice to export raw scores."""
    with pytest.raises(ModelRefused, match=r"`PROBIT`, expected one of .*; export the model with"):
        lower_ml_operators.apply(graph([linear("PROBIT", 2)]))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("transform", ["LOGISTIC", "SOFTMAX", "NONE", "PROBIT"])
def test_a_linear_classifier_is_cut_to_its_scores(transform: str, rows: int) -> None:
    """The larger score stays the larger, and no transform is left but one that is unknown."""
    model = graph([linear(transform, rows)])
    if transform == "PROBIT":
        assert list(cut(model).graph.node) == list(model.graph.node)
        return
    before = run(model)

    after = run(cut(model))

    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    if transform == "LOGISTIC" and rows == 1:
        np.testing.assert_allclose(softmax(after), before, rtol=1e-5, atol=1e-6)
    elif transform == "LOGISTIC":
        np.testing.assert_allclose(np.log(before / (1 - before)), after, rtol=1e-2, atol=1e-3)


def test_opposite_scores_are_one_score() -> None:
    """Two rows w and −w, as logistic regression is written, give the softmax the file means."""
    node = linear("LOGISTIC", 2)
    found = {one.name: one for one in node.attribute}
    for name in ("coefficients", "intercepts"):
        half = len(found[name].floats) // 2
        found[name].floats[:half] = [-one for one in found[name].floats[half:]]
    model = graph([node])

    logits = run(cut(model))

    np.testing.assert_allclose(softmax(logits), run(model), rtol=1e-5, atol=1e-6)
    assert (logits[:, 0] == 0).all()


NODE = helper.make_node


def two_classes(
    *, order: tuple[str, str] = ("n", "p"), one: float = 1.0, gemm: dict[str, Any] | None = None
) -> ModelProto:
    """A hidden layer, one logit, and the probabilities of both classes."""
    random = np.random.default_rng(1)
    head = [NODE("MatMul", ["h", "v"], ["m"]), NODE("Add", ["b", "m"], ["z"])]
    if gemm is not None:
        head = [NODE("Gemm", ["h", "vt" if gemm.get("transB") else "v", "b"], ["z"], **gemm)]
    nodes = [
        NODE("MatMul", ["x", "w"], ["a"]),
        NODE("Relu", ["a"], ["h"]),
        *head,
        NODE("Sigmoid", ["z"], ["p"]),
        NODE("Sub", ["one", "p"], ["n"]),
        NODE("Concat", list(order), ["y"], axis=-1),
    ]
    weight = random.standard_normal((4, 1)).astype(np.float32)
    constants = {
        "w": random.standard_normal((6, 4)).astype(np.float32),
        "v": weight,
        "vt": np.ascontiguousarray(weight.T),
        "b": np.array([0.3], np.float32),
        "one": np.array(one, np.float32),
    }
    return graph(nodes, constants)


@pytest.mark.parametrize("order", [("n", "p"), ("p", "n")])
@pytest.mark.parametrize("gemm", [None, {}, {"transB": 1}, {"alpha": 2.0}])
def test_two_classes_get_two_logits(order: tuple[str, str], gemm: dict[str, Any] | None) -> None:
    """The softmax of the logits is the pair of probabilities, in the order they were joined."""
    model = two_classes(order=order, gemm=gemm)
    expected = run(model)

    found = twin_logits(model)

    np.testing.assert_allclose(softmax(found), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, run(cut(model)), rtol=TOLERANCE, atol=TOLERANCE)
    assert (found == 0).all(axis=0).tolist() == [order[0] == "n", order[0] == "p"]


def test_the_head_takes_in_the_second_logit() -> None:
    """One layer with two outputs is left, behind the hidden one; again nothing changes."""
    model = normalise(two_classes())

    operators = [node.op_type for node in model.graph.node]
    before = model.SerializeToString(deterministic=True)
    merge_last_layers.apply(model)

    assert operators == ["MatMul", "Relu", "Gemm"]
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    "model",
    [two_classes(one=0.5), two_classes(order=("p", "p")), two_classes(order=("z", "p"))],
)
def test_other_pairs_are_not_cut(model: ModelProto) -> None:
    """What is no pair of 1 − p and p is the model's own score."""
    assert [node.op_type for node in cut(model).graph.node][-1] == "Concat"
    np.testing.assert_array_equal(run(cut(model)), run(model))


def test_a_layer_that_others_read_is_not_merged() -> None:
    """A product of a single logit whose layer also feeds something else keeps both layers."""
    nodes = [
        NODE("MatMul", ["x", "v"], ["m"]),
        NODE("Add", ["m", "b"], ["z"]),
        NODE("Add", ["z", "m"], ["s"]),
        NODE("MatMul", ["s", "row"], ["y"]),
    ]
    constants = {"v": np.ones((6, 1), np.float32), "b": np.ones(1, np.float32)}
    model = graph(nodes, constants | {"row": np.array([[0, 1]], np.float32)})
    before = model.SerializeToString(deterministic=True)

    merge_last_layers.apply(model)

    assert model.SerializeToString(deterministic=True) == before
