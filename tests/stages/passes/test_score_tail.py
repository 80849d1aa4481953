"""Laws of the cut: what keeps the order of the scores is looked through, all else is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.errors import ModelRefused
from stages.passes import cut_to_logits, merge_last_layers, normalise
from stages.passes.score_tail import reordering
from tests.support.graph_ends import KEEPING, REFUSED, ended

CLASSES = 5
WEIGHT = np.random.default_rng(1).normal(size=(6, CLASSES)).astype(np.float32)
IMAGES = np.random.default_rng(2).normal(size=(200, 6)).astype(np.float32)


def net() -> ModelProto:
    """A linear layer from `x` (batch, 6) to `scores` (batch, 5)."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["scores"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 6))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("batch", CLASSES))],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: ModelProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The output for the images, as rows of classes."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": IMAGES})[0]).reshape(len(IMAGES), -1)


@pytest.mark.parametrize("end", KEEPING)
def test_an_end_that_keeps_the_order_is_looked_through(end: str) -> None:
    """The cut graph gives the scores of the last layer, and decides as the whole one does."""
    whole = ended(net(), KEEPING[end], CLASSES)
    onnx.checker.check_model(whole, full_check=True)

    plain = normalise(whole)

    found = run(plain)
    np.testing.assert_allclose(found, IMAGES @ WEIGHT, rtol=1e-2, atol=1e-3)
    decided = run(whole).argmax(axis=1)
    assert np.mean(found.argmax(axis=1) == decided) >= 0.99


@pytest.mark.parametrize("end", REFUSED)
def test_any_other_end_is_refused_by_the_name_of_its_node(end: str) -> None:
    """A function that keeps no order could hide a backdoor without moving a decision."""
    whole = ended(net(), REFUSED[end], CLASSES)

    with pytest.raises(ModelRefused, match=r"node `end_\d`"):
        cut_to_logits.apply(whole)


def test_a_mixture_of_probabilities_is_searched_by_its_logarithm() -> None:
    """An ensemble has no scores of one layer; their logarithm does not saturate."""
    text = "p = Softmax(z) d = Mul(z, two) q = Softmax(d) s = Add(p, q) y = Div(s, two)"
    whole = ended(net(), text, CLASSES)

    plain = normalise(whole)

    shift = run(plain) - np.log(run(whole))
    np.testing.assert_allclose(shift, np.log(2), atol=1e-4)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (3, 1, 4, 0, 2)])
@pytest.mark.parametrize("factor", [1.0, 0.1, -2.0])
def test_a_layer_that_only_reorders_is_no_layer(order: tuple[int, ...], factor: float) -> None:
    """Whatever stands before it, the scores are those of the layer before, in the new order."""
    whole = ended(net(), "t = Tanh(z) y = MatMul(t, eye)", CLASSES)
    matrix = np.zeros((CLASSES, CLASSES), np.float32)
    matrix[list(order), range(CLASSES)] = factor
    stored = next(one for one in whole.graph.initializer if one.name == "eye")
    stored.CopyFrom(numpy_helper.from_array(matrix, "eye"))

    found = run(normalise(whole))

    expected = np.sign(factor) * (IMAGES @ WEIGHT)[:, list(order)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_mixes_classes_is_no_reordering() -> None:
    """A trained layer from as many features as classes is a layer of its own."""
    rng = np.random.default_rng(3)

    assert not any(reordering(rng.normal(size=(n, n)))[0] for n in (2, 3, 10, 100))


@pytest.mark.parametrize(
    "text",
    [
        "y = Mul(z, eye_row)",
        "a = Add(z, eye_row) y = Mul(a, two)",
        "m = MatMul(z, mix) y = Add(m, eye_row)",
        "m = Gemm <alpha = 0.5, transB = 1> (z, mix, eye_row) s = Sub(m, two) y = Div(s, two)",
        "y = BatchNormalization(z, eye_row, one_row, one_row, eye_row)",
    ],
)
def test_layers_that_follow_one_another_become_one(text: str) -> None:
    """Scales, shifts and layers behind the last one are part of it."""
    rows = {
        "eye_row": np.linspace(0.5, 2, CLASSES, dtype=np.float32),
        "one_row": np.ones(CLASSES, np.float32),
        "mix": np.random.default_rng(4).normal(size=(CLASSES, CLASSES)).astype(np.float32),
    }
    whole = ended(net(), text, CLASSES)
    whole.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in rows.items())

    expected = run(whole)
    merge_last_layers.apply(whole)

    assert [node.op_type for node in whole.graph.node] == ["Gemm"]
    np.testing.assert_allclose(run(whole), expected, rtol=1e-4, atol=1e-4)
