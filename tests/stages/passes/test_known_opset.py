"""Laws of other opsets: a model of one is judged as the same model at an opset that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper

from stages.errors import ConversionError, ModelRefused
from stages.onnx_file.inspection import NEWEST_READABLE, OLDEST_READABLE, inspect_onnx, load_proto
from stages.passes import known_opset, normalise
from stages.passes.onnx_graph import opset
from stages.twin.convert import build_module
from stages.twin.parity import prove_parity
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples, OnnxArtifact
from tests.support.tiny_model import append, tiny

OUTSIDE = [
    number
    for number in range(OLDEST_READABLE, NEWEST_READABLE + 1)
    if not known_opset.OLDEST_OPSET <= number <= known_opset.NEWEST_OPSET
]


def at_opset(number: int) -> ModelProto:
    """The tiny model at that opset."""
    model = tiny()
    model.opset_import[0].version = number
    model.ir_version = 10
    return model


@pytest.mark.parametrize("number", OUTSIDE)
def test_a_model_of_another_opset_is_proven_against_its_own_file(
    number: int, tmp_path: Path
) -> None:
    """Inspection accepts it, and its twin computes what onnxruntime computes with the file."""
    assert require_same(at_opset(number), tmp_path).opset == number


def require_same(model: ModelProto, folder: Path) -> OnnxArtifact:
    """The facts about the model's file, whose twin computes what it computes."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    images = np.random.default_rng(0).random((8, 3, 8, 8), np.float32)
    samples = CleanSamples(images=images, labels=np.zeros(8, np.int64))

    artifact, module = inspect_onnx(path), build_module(normalise(load_proto(path)))

    assert prove_parity(artifact, module, samples, ParityConfig()).max_rel < 1e-6
    return artifact


def test_both_ends_are_converted() -> None:
    """The nearest known opset is taken."""
    assert {6, 24, 25} <= set(OUTSIDE)
    for number in OUTSIDE:
        model = at_opset(number)

        known_opset.apply(model)

        nearest = known_opset.OLDEST_OPSET if number < 7 else known_opset.NEWEST_OPSET
        assert opset(model) == nearest


def test_a_known_opset_stays_as_it_is() -> None:
    """Nothing is rewritten where nothing has to be."""
    model = tiny()

    known_opset.apply(model)

    assert model == tiny()


def test_a_new_operator_with_a_converter_is_judged(tmp_path: Path) -> None:
    """A model whose operators are all known is judged where it has no older form."""
    model = at_opset(24)
    append(model, helper.make_node("Swish", ["logits"], ["last"]))

    require_same(model, tmp_path)


def test_a_new_operator_without_one_is_named() -> None:
    """One sentence says which."""
    model = at_opset(26)
    append(model, helper.make_node("CumProd", ["logits", "axis"], ["last"]), axis=1)

    with pytest.raises(ConversionError, match=r"cannot convert `CumProd` at opset 26 .*; export"):
        build_module(normalise(model))


def test_an_old_operator_without_a_counterpart_is_named() -> None:
    """One sentence says what the version converter lacks, and at which opset to export."""
    model = at_opset(6)
    append(model, helper.make_node("Upsample", ["logits"], ["last"], scales=[1.0], mode="nearest"))

    with pytest.raises(ModelRefused, match=r"from opset 6 to opset 7: .*; export .* at opset 17$"):
        normalise(model)
