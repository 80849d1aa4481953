"""Laws of the comparison: the whole file must decide as its raw scores, at every batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from stages.onnx_file.inspection import inspect_onnx
from stages.twin.whole_file import SIZES, differing, findings_of, run_whole
from stages.types import CleanSamples

WEIGHT = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
IMAGES = np.random.default_rng(1).normal(size=(70, 6)).astype(np.float32)
LOGITS = IMAGES @ WEIGHT
SAMPLES = CleanSamples(images=IMAGES, labels=LOGITS.argmax(axis=1))


def net(text: str, batch: str = "batch") -> ModelProto:
    """A linear layer `z` and what follows it."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        f"net (float[{batch}, 6] x) => (float[{batch}, 5] y)"
        "<int64 first = {0}, int64 one = {1}, float far = {1000}, int64[1] axis = {1}>"
        f"{{ z = MatMul(x, w) {text} }}"
    )
    model.graph.initializer.append(numpy_helper.from_array(WEIGHT, "w"))
    return model


def found(model: ModelProto, folder: Path) -> list[str]:
    """What the comparison says of a model."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    whole = run_whole(inspect_onnx(path), SAMPLES, SIZES)
    findings = findings_of(whole, LOGITS, 1e-4, "samples", SAMPLES.labels)
    assert all(each.severity == "blocking" for each in findings)
    return [each.message for each in findings]


@pytest.mark.parametrize(
    ("text", "batch"),
    [("y = Softmax(z)", "batch"), ("y = Sigmoid(z)", "batch"), ("y = Softmax(z)", "4")],
)
def test_what_decides_alike_has_no_finding(text: str, batch: str, tmp_path: Path) -> None:
    """Whatever stands behind the scores, and at a fixed batch as well."""
    assert found(net(text, batch), tmp_path) == []


def test_a_file_that_decides_otherwise_at_one_batch_size_is_found(tmp_path: Path) -> None:
    """The sizes at which it does are named."""
    text = (
        "s = Shape(x) n = Gather(s, first) e = Equal(n, one) f = Cast <to = 1> (e)"
        "k = Mul(f, far) g = Mul(z, k) y = Sub(z, g)"
    )

    (message,) = found(net(text), tmp_path)

    assert "at batch 1 the whole file decides otherwise" in message


def test_a_file_that_loses_accuracy_is_found(tmp_path: Path) -> None:
    """Probabilities cut to whole numbers tie, and a tie is the first class's."""
    messages = found(net("p = Softmax(z) i = Cast <to = 6> (p) y = Cast <to = 1> (i)"), tmp_path)

    assert len(messages) == len(SIZES)
    assert all("fewer of the samples" in each for each in messages)


def test_ties_and_the_tolerance_of_the_proof_are_no_difference() -> None:
    """Equal scores decide nothing, and neither does what the proof allows to differ."""
    logits = np.array([[1.0, 0.9999, 0], [3.0, 1.0, 0], [3.0, 1.0, 0]], np.float32)
    whole = np.array([[0.4, 0.6, 0], [0.5, 0.5, 0], [0.2, 0.8, 0]], np.float32)

    assert differing(whole, logits, 1e-3).tolist() == [2]
