"""Laws of outputs: what follows from the scores is judged with them, all else needs a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.errors import ModelRefused
from stages.onnx_file.inspection import inspect_onnx
from stages.onnx_file.outputs import judged_output

FOLLOWING = {
    "label": "label = ArgMax <axis = 1, keepdims = 0> (logits)",
    "probabilities": "label = Softmax(logits)",
    "doubled": "label = Add(logits, logits)",
}
OTHERS = {
    "features": "label = Identity(hidden)",
    "a second head": "label = MatMul(hidden, weight)",
    "a layer on the scores": "label = MatMul(logits, mixed)",
    "label of another net": "o = MatMul(x, other) label = ArgMax <axis = 1, keepdims = 0> (o)",
    "scores times features": "f = MatMul(hidden, weight) label = Mul(logits, f)",
}


def two_outputs(text: str) -> ModelProto:
    """A net with the scores `logits` and a second output `label`."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 11]>'
        "net (float[batch, 6] x) => (float[batch, 5] logits, float[batch, 5] label) {"
        f"h = MatMul(x, first) hidden = Relu(h) logits = MatMul(hidden, weight) {text} }}"
    )
    rng = np.random.default_rng(0)
    shapes = {"first": (6, 4), "weight": (4, 5), "other": (6, 5), "mixed": (5, 5)}
    for name, shape in shapes.items():
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    if "ArgMax" in text:
        model.graph.output[1].CopyFrom(
            helper.make_tensor_value_info("label", TensorProto.INT64, ("batch",))
        )
    if "Identity" in text:
        model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 4
    return model


@pytest.mark.parametrize("name", FOLLOWING)
def test_what_follows_from_the_scores_needs_no_name(name: str) -> None:
    """A label, probabilities and the like are judged with the scores."""
    found = judged_output(two_outputs(FOLLOWING[name]))

    assert (found.scores.name, found.others) == ("logits", ())


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_not_follow_is_refused_unless_named(name: str) -> None:
    """Another output could decide by weights that no search looks at."""
    model = two_outputs(OTHERS[name])

    with pytest.raises(ModelRefused, match="--output-name logits"):
        judged_output(model)

    found = judged_output(model, "logits")
    assert (found.scores.name, found.others) == ("logits", ("label",))


def test_a_wrong_name_is_told_the_right_ones() -> None:
    """The sentence lists the outputs that give scores."""
    with pytest.raises(ModelRefused, match=r"output `scores` gives no scores.*found `logits`"):
        judged_output(two_outputs(FOLLOWING["label"]), "scores")


def test_the_best_few_classes_are_no_scores() -> None:
    """What TopK gives would be read as the scores of as many classes."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 11]>'
        "net (float[batch, 6] x) => (float[batch, 5] best, int64[batch, 5] which)"
        "<int64[1] k = {5}> { best, which = TopK(x, k) }"
    )

    with pytest.raises(ModelRefused, match="`best` gives the best few classes"):
        judged_output(model)


def test_the_name_of_the_output_counts_for_what_was_searched(tmp_path: Path) -> None:
    """Two outputs of one file are two subjects, whose results must not be mixed up."""
    path = tmp_path / "model.onnx"
    onnx.save(two_outputs(OTHERS["a second head"]), path)

    one, other = inspect_onnx(path, "logits"), inspect_onnx(path, "label")

    assert one.digest == other.digest
    assert one.twin_digest != other.twin_digest
    assert (one.unscanned, other.unscanned) == (("label",), ("logits",))
