"""Laws of folding what grows: small results are computed, large ones and batches are not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, numpy_helper, parser

from stages.passes import fold_constants, normalise
from stages.twin.convert import build_module

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


def graph(text: str, batch: str | int = "N") -> ModelProto:
    """A model with the weights w (5, 3, 1, 1), z = 0 and s = (5) of these nodes."""
    kernel = f"float[5,3,1,1] w = {{{', '.join(['1'] * 15)}}}"
    constants = f"<{kernel}, float z = {{0}}, int64[1] s = {{5}}, int64[2] big = {{300, 300}}>"
    shapes = f"(float[{batch},3,4,4] x) => (float[{batch},5,4,4] y)"
    model: ModelProto = parser.parse_model(f"{HEAD} g {shapes} {constants} {{ {text} }}")
    return model


def folded(model: ModelProto) -> dict[str, npt.NDArray[np.generic]]:
    """Every constant after folding, by name."""
    fold_constants.apply(model)
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    nodes = (node for node in model.graph.node if node.op_type == "Constant")
    return constants | {one.output[0]: numpy_helper.to_array(one.attribute[0].t) for one in nodes}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b = Expand(z, s) y = Conv(x, w, b)", [0.0] * 5),
        ("c = Unsqueeze(z, o) b = Tile(c, s) y = Conv(x, w, b)", [0.0] * 5),
        ("r = Range(o2, e, i) b = Cast<to=1>(r) y = Conv(x, w, b)", [0.0, 1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_small_results_become_constants(text: str, expected: list[float]) -> None:
    """A bias that the exporter made of one number is a constant like any other."""
    model = graph(text)
    for name, value in {"o": [0], "o2": 0, "e": 5, "i": 1}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))

    assert folded(model)["b"].tolist() == expected
    assert [node.op_type for node in model.graph.node if node.op_type != "Constant"] == ["Conv"]


def test_a_convolution_with_an_expanded_bias_has_a_site() -> None:
    """As torch exports a convolution without bias from a program."""
    text = "b = Expand(z, s) c = Conv(x, w, b) a = Relu(c) y = Conv(a, v)"
    model = graph(text)
    kernel = numpy_helper.from_array(np.ones((5, 5, 1, 1), np.float32), "v")
    model.graph.initializer.append(kernel)

    module = build_module(normalise(model))

    assert [type(part).__name__ for part in module.children()].count("Conv2d") == 2


@pytest.mark.parametrize(
    "text",
    [
        "b = Expand(z, big) m = ReduceMax<keepdims=0>(b) y = Add(x, m)",
        "n = Expand(z, n1) b = Tile(n, big) m = ReduceMax<keepdims=0>(b) y = Add(x, m)",
    ],
)
def test_large_results_are_not_computed(text: str) -> None:
    """They stay nodes, as small in memory as in the file."""
    model = graph(text)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1]), "n1"))

    assert "b" not in folded(model)


def test_many_small_results_are_not_computed_either() -> None:
    """All of them together are limited, so many nodes of a few bytes do not fill the memory."""
    side = 100
    names = [f"b{number}" for number in range(1000)]
    text = " ".join(f"{name} = Expand(z, side)" for name in names)
    text += " ".join(["", f"t = Sum({', '.join(names)})", "m = ReduceMax<keepdims=0>(t)"])
    model = graph(f"{text} y = Add(x, m)")
    model.graph.initializer.append(numpy_helper.from_array(np.array([side, side]), "side"))

    kept = [one for name, one in folded(model).items() if name in names]

    assert sum(one.size for one in kept) <= 2**22


def test_what_may_be_a_batch_stays() -> None:
    """A size equal to the batch that is written into the file is left to be freed."""
    text = "b = Expand(one, shape) y = Add(x, b)"
    model = graph(text, batch=2)
    model.graph.initializer.append(
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one")
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 1, 1]), "shape"))

    assert "b" not in folded(model)
