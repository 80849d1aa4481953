"""Laws of imported domains: what a model uses counts, what it only lists does not."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
from onnx import ModelProto, helper

from stages.errors import ModelRefused
from stages.onnx_file.imports import drop_unused_imports
from stages.onnx_file.inspection import inspect_onnx, load_proto
from tests.support.tiny_model import append, branch, tiny


def domains(model: ModelProto) -> list[str]:
    """The domains that the model imports."""
    return [one.domain for one in model.opset_import]


def saved(model: ModelProto, folder: Path) -> Path:
    """The model's file."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_that_onnxruntime_saved_is_accepted(tmp_path: Path) -> None:
    """It lists every domain that onnxruntime knows and uses the standard one alone."""
    options, path = onnxruntime.SessionOptions(), tmp_path / "model.onnx"
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    content = tiny().SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    assert inspect_onnx(path).opset == 17
    assert set(domains(load_proto(path))) <= {"", "ai.onnx.ml"}


def test_an_unused_import_changes_no_content(tmp_path: Path) -> None:
    """The content digest is that of the model without it."""
    model = tiny()
    plain = inspect_onnx(saved(model, tmp_path)).content_digest
    model.opset_import.append(helper.make_opsetid("com.example", 99))

    assert inspect_onnx(saved(model, tmp_path)).content_digest == plain


@pytest.mark.parametrize("place", ["graph", "branch"])
def test_a_domain_that_a_node_uses_is_refused(place: str, tmp_path: Path) -> None:
    """At any depth, whether or not it is imported."""
    model = tiny()
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    if place == "graph":
        model.graph.node[1].domain = "com.example"
    else:
        branches = {"then_branch": branch("one"), "else_branch": branch("two")}
        branches["else_branch"].node[0].domain = "com.example"
        append(model, helper.make_node("If", ["yes"], ["last"], **branches), yes=True)

    with pytest.raises(ModelRefused, match=r"operators of domain `com\.example`"):
        inspect_onnx(saved(model, tmp_path))


def test_an_import_that_a_function_uses_stays() -> None:
    """What functions use is used."""
    model = tiny()
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    node = helper.make_node("Twist", ["a"], ["b"], domain="com.example")
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], imports))
    model.opset_import.extend([imports[1], helper.make_opsetid("com.other", 1)])

    drop_unused_imports(model)

    assert domains(model) == ["", "com.example"]
