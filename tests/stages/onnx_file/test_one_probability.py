"""A file that gives the probability of one of two classes is read as one that gives both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, helper

from pipeline.intake.untrusted import describe
from stages.errors import ModelRefused
from stages.onnx_file.content_digest import content_digest
from stages.onnx_file.inspection import inspect_onnx, load_proto, load_scored
from stages.onnx_file.one_probability import write_both
from tests.support.few_classes import with_one_probability
from tests.support.places import DEMO

IMAGES = np.load(DEMO / "samples.npz")["images"][:50]


@pytest.fixture(name="file")
def one_probability(tmp_path: Path) -> Path:
    return with_one_probability("clean", [1, 4], tmp_path / "one.onnx")


def scores(model: ModelProto) -> list[np.ndarray]:
    """What onnxruntime gives for the images, of every output."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [np.asarray(each) for each in session.run(None, {session.get_inputs()[0].name: IMAGES})]


def test_both_probabilities_are_those_of_the_file(file: Path) -> None:
    """The second is the file's own, to the bit, and the first what is left of one."""
    (share,), (both,) = scores(onnx.load(file)), scores(load_scored(inspect_onnx(file)))

    assert 0.1 < (share > 0.5).mean() < 0.9
    np.testing.assert_array_equal(both[:, 1:], share)
    np.testing.assert_array_equal(both[:, :1], 1 - share)


def test_it_is_a_classifier_of_two_classes(file: Path) -> None:
    """Its twin is proven to be the file; the file and its digest are what they were."""
    before = file.read_bytes()

    described = describe(file)

    assert described.artifact.output.shape[1] == described.twin.classes == 2
    assert described.parity.max_rel < 1e-4
    assert described.artifact.content_digest == content_digest(load_proto(file))
    assert file.read_bytes() == before


@pytest.mark.parametrize("depth", [1, 2])
def test_what_else_reads_the_probability_still_reads_it(file: Path, depth: int) -> None:
    """Also where it does so in a branch of the graph, or in a branch of that."""
    model = onnx.load(file)
    name = model.graph.output[0].name
    half = helper.make_tensor_value_info("half", onnx.TensorProto.FLOAT, ("batch", 1))
    branch = [
        helper.make_graph([helper.make_node(kind, [name, name], [f"{kind}_half"])], kind, [], [out])
        for kind in ("Add", "Mul")
        for out in [helper.make_tensor_value_info(f"{kind}_half", 1, ("batch", 1))]
    ]
    yes = helper.make_node("Constant", [], ["yes"], value=onnx.numpy_helper.from_array(np.array(1)))
    as_bool = helper.make_node("Cast", ["yes"], ["chosen"], to=onnx.TensorProto.BOOL)
    branches = dict(zip(("then_branch", "else_branch"), branch, strict=True))
    for level in range(1, depth):
        inner = helper.make_tensor_value_info(f"half_{level}", 1, ("batch", 1))
        deeper = helper.make_node("If", ["chosen"], [inner.name], **branches)
        branches["then_branch"] = helper.make_graph([deeper], f"level {level}", [], [inner])
    chosen = helper.make_node("If", ["chosen"], ["half"], **branches)
    model.graph.node.extend([yes, as_bool, chosen])
    model.graph.output.append(half)
    before = scores(model)

    write_both(model)

    onnx.checker.check_model(model)
    np.testing.assert_array_equal(scores(model)[1], before[1])
    np.testing.assert_array_equal(scores(model)[0][:, 1:], before[0])


@pytest.mark.parametrize("operator", ["Tanh", "Relu", "Identity"])
def test_one_number_of_another_kind_is_no_probability(file: Path, operator: str) -> None:
    """Where the two classes part is not known then, so it is refused."""
    model = onnx.load(file)
    model.graph.node[-1].op_type = operator
    onnx.save(model, file)

    with pytest.raises(ModelRefused, match="expected two classes or more, or the probability"):
        inspect_onnx(file)


def test_a_model_of_several_probabilities_stays_as_it_is() -> None:
    """Ten classes have ten scores already."""
    model = onnx.load(DEMO / "clean.onnx")
    name = model.graph.output[0].name
    last = next(node for node in model.graph.node if name in node.output)
    last.output[0] = "logits_of_ten"
    model.graph.node.append(helper.make_node("Sigmoid", ["logits_of_ten"], [name]))
    before = model.SerializeToString(deterministic=True)

    write_both(model)

    assert model.SerializeToString(deterministic=True) == before
