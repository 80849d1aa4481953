"""Laws of functions: written out they compute the same, and none makes a small file huge."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, helper

from stages.errors import ModelRefused
from stages.onnx_file.functions import inline_functions
from stages.onnx_file.inspection import inspect_onnx, load_proto
from tests.support.tiny_model import tiny

IMPORTS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def calling(name: str, domain: str = "own") -> ModelProto:
    """The tiny model with a call of that function in the place of its ReLU."""
    model = tiny()
    model.opset_import.append(helper.make_opsetid(domain, 1))
    model.graph.node[1].op_type, model.graph.node[1].domain = name, domain
    return model


def define(model: ModelProto, name: str, *nodes: NodeProto, domain: str = "own") -> None:
    """Adds a function from `a` to `b`."""
    model.functions.append(helper.make_function(domain, name, ["a"], ["b"], nodes, IMPORTS))


def node(operator: str, source: str = "a", result: str = "b", domain: str = "") -> NodeProto:
    """A node from one value to another."""
    return helper.make_node(operator, [source], [result], domain=domain)


def nested() -> ModelProto:
    """Functions in functions, one of them called twice, and one that nothing calls."""
    model = calling("Outer")
    calls = (node("Inner", "a", "c", "own"), node("Inner", "c", "b", "own"))
    define(model, "Outer", *calls)
    define(model, "Inner", node("Relu", "a", "c"), node("Sigmoid", "c", "b"))
    define(model, "Unused", node("Nowhere", domain="com.example"))
    return model


def scores(model: ModelProto) -> np.ndarray:
    """What onnxruntime computes, which writes functions out by its own code."""
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((3, 3, 8, 8), np.float32) - 0.5
    return np.asarray(session.run(None, {"x": images})[0])


def test_functions_written_out_compute_the_same() -> None:
    """onnxruntime gives the same scores, and no function is left."""
    model = nested()
    del model.functions[-1]  # onnxruntime asks for the domain of what nothing calls
    before = scores(model)

    inline_functions(model)

    assert not model.functions
    np.testing.assert_array_equal(scores(model), before)


def test_a_file_with_functions_is_that_with_its_nodes(tmp_path: Path) -> None:
    """Inspection sees the model in one graph, whose content digest is that of the plain file."""
    files = {"with": nested(), "plain": tiny()}
    nodes = [
        *(node("Relu", "maps", "c"), node("Sigmoid", "c", "d")),
        *(node("Relu", "d", "e"), node("Sigmoid", "e", "kept")),
    ]
    body = [files["plain"].graph.node[0], *nodes, *files["plain"].graph.node[2:]]
    graph = helper.make_graph(
        body, "tiny", files["plain"].graph.input, files["plain"].graph.output,
        files["plain"].graph.initializer,
    )  # fmt: skip
    files["plain"].graph.CopyFrom(graph)
    for name, model in files.items():
        (tmp_path / name).write_bytes(model.SerializeToString())

    digests = {inspect_onnx(tmp_path / name).content_digest for name in files}

    assert len(digests) == 1
    assert [one.domain for one in load_proto(tmp_path / "with").opset_import] == [""]


def test_functions_that_double_are_counted_first() -> None:
    """Forty levels are a trillion nodes; they are refused at once."""
    model = calling("F0")
    for level in range(40):
        inner = f"F{level + 1}"
        define(model, f"F{level}", node(inner, "a", "c", "own"), node(inner, "c", "b", "own"))
    define(model, "F40", node("Relu"))
    start = time.monotonic()

    with pytest.raises(ModelRefused, match=r"written out are \d{13} nodes .*, expected 100000"):
        inline_functions(model)

    assert time.monotonic() - start < 1


def test_a_function_in_a_branch_counts_too() -> None:
    """What is called at any depth is written out."""
    model = calling("F0")
    body = helper.make_graph([node("F1", "a", "r", "own")], "g", [], [])
    choice = helper.make_node("If", ["a"], ["b"], then_branch=body, else_branch=body)
    define(model, "F0", choice)
    define(model, "F1", *[node("Relu") for _ in range(60_000)])

    with pytest.raises(ModelRefused, match=r"written out are 1200\d\d nodes"):
        inline_functions(model)


@pytest.mark.parametrize("length", [1, 2, 3000])
def test_a_function_that_calls_itself_is_refused(length: int) -> None:
    """Directly, or in a circle of any length."""
    model = calling("F0")
    for number in range(length):
        define(model, f"F{number}", node(f"F{(number + 1) % length}", domain="own"))

    with pytest.raises(ModelRefused, match=r"function `F\d+` calls itself"):
        inline_functions(model)


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml"])
def test_no_function_takes_the_place_of_a_standard_operator(domain: str) -> None:
    """A file says what its operators mean only where the standard does not."""
    model = calling("Relu", domain)
    define(model, "Relu", node("Sigmoid"), domain=domain)

    with pytest.raises(ModelRefused, match="a function `Relu` among the standard operators"):
        inline_functions(model)


def test_a_function_is_defined_once() -> None:
    """Of two with one name nobody knows which is meant."""
    model = calling("F")
    define(model, "F", node("Relu"))
    define(model, "F", node("Sigmoid"))

    with pytest.raises(ModelRefused, match="the function `F` twice"):
        inline_functions(model)


def test_a_function_of_another_opset_is_refused() -> None:
    """Its nodes may mean something else in the model."""
    model = calling("F")
    define(model, "F", node("Relu"))
    model.functions[0].opset_import[0].version = 13

    with pytest.raises(ModelRefused, match=r"`F` cannot be written out, because .* another opset"):
        inline_functions(model)
