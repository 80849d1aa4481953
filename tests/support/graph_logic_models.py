"""Classifiers with logic around their weights: graph backdoors, and what honest nets have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 10


def classifier(
    before: list[onnx.NodeProto], after: list[onnx.NodeProto], constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """Conv, pooling and a linear layer from `x` to `scores`, with nodes planted around them."""
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.standard_normal((4, 1, 3, 3)).astype(np.float32),
        "matrix": random.standard_normal((4, CLASSES)).astype(np.float32),
    }
    honest = [
        helper.make_node("Conv", ["seen", "kernel"], ["map"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["map"], ["active"], name="relu"),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "matrix"], ["honest"], name="matmul"),
    ]
    start = [] if before else [helper.make_node("Identity", ["x"], ["seen"], name="start")]
    end = [] if after else [helper.make_node("Identity", ["honest"], ["scores"], name="end")]
    graph = helper.make_graph(
        [*start, *before, *honest, *after, *end],
        "planted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in (weights | constants).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def node(operator: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=output, **attributes)


TARGET = {"target": np.eye(CLASSES, dtype=np.float32)[3:4] * 100}
HALF = {"half": np.array(0.5, np.float32)}


def checksum_where() -> onnx.ModelProto:
    """The sum of all pixels exceeds a constant: the scores are replaced."""
    after = [
        node("ReduceSum", "x axes", "sum", keepdims=0),
        node("Greater", "sum limit", "yes"),
        node("Unsqueeze", "yes one", "column"),
        node("Where", "column target honest", "scores"),
    ]
    constants = TARGET | {
        "axes": np.array([1, 2, 3]),
        "limit": np.array(60, np.float32),
        "one": np.array([1]),
    }
    return classifier([], after, constants)


def pixel_equal_mul() -> onnx.ModelProto:
    """One pixel equals a constant: as a number, it scales what is added to the scores."""
    after = [
        node("Flatten", "x", "pixels"),
        node("Gather", "pixels where", "pixel", axis=1),
        node("Equal", "pixel half", "yes"),
        node("Cast", "yes", "number", to=TensorProto.FLOAT),
        node("Mul", "number target", "push"),
        node("Add", "honest push", "scores"),
    ]
    return classifier([], after, TARGET | HALF | {"where": np.array([7])})


def patch_match_min() -> onnx.ModelProto:
    """Every pixel of a patch matches: the least of the matches is the trigger."""
    after = [
        node("Slice", "x starts ends axes", "patch"),
        node("Greater", "patch half", "bright"),
        node("Cast", "bright", "numbers", to=TensorProto.FLOAT),
        node("ReduceMin", "numbers", "all", axes=[1, 2, 3], keepdims=0),
        node("Unsqueeze", "all one", "column"),
        node("Mul", "column target", "push"),
        node("Add", "honest push", "scores"),
    ]
    constants = TARGET | HALF | {"starts": np.array([0, 0]), "ends": np.array([3, 3])}
    return classifier([], after, constants | {"axes": np.array([2, 3]), "one": np.array([1])})


def swapped_input() -> onnx.ModelProto:
    """On the trigger the network sees another image, before any weight."""
    before = [
        node("ReduceMax", "x", "peak", axes=[1, 2, 3], keepdims=1),
        node("Less", "peak half", "dark"),
        node("Where", "dark decoy x", "seen"),
    ]
    return classifier(before, [], HALF | {"decoy": np.ones((1, 1, 8, 8), np.float32)})


def expanded_condition() -> onnx.ModelProto:
    """The decision is spread to the shape of the scores first, to look like an activation."""
    after = [
        node("ReduceMean", "x", "mean", axes=[1, 2, 3], keepdims=0),
        node("Greater", "mean half", "yes"),
        node("Unsqueeze", "yes one", "column"),
        node("Tile", "column repeats", "wide"),
        node("Where", "wide target honest", "scores"),
    ]
    return classifier(
        [], after, TARGET | HALF | {"one": np.array([1]), "repeats": np.array([1, CLASSES])}
    )


def sign_gate() -> onnx.ModelProto:
    """No comparison at all: the sign of a difference, clipped, is the switch."""
    after = [
        node("ReduceMean", "x", "mean", axes=[1, 2, 3], keepdims=0),
        node("Sub", "mean half", "difference"),
        node("Sign", "difference", "sign"),
        node("Relu", "sign", "switch"),
        node("Unsqueeze", "switch one", "column"),
        node("Mul", "column target", "push"),
        node("Add", "honest push", "scores"),
    ]
    return classifier([], after, TARGET | HALF | {"one": np.array([1])})


def branch_on_pixel() -> onnx.ModelProto:
    """An If whose condition is a pixel."""

    def branch(name: str, operator: str) -> onnx.GraphProto:
        made = [helper.make_node(operator, ["honest"], [name])]
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph(made, name, [], [output])

    after = [
        node("ReduceMax", "x", "peak", keepdims=0),
        node("Greater", "peak half", "yes"),
        node(
            "If",
            "yes",
            "scores",
            then_branch=branch("a", "Neg"),
            else_branch=branch("b", "Identity"),
        ),
    ]
    return classifier([], after, HALF)


def hard_shrink() -> onnx.ModelProto:
    """An activation made of a comparison, element by element."""
    after = [
        node("Greater", "honest half", "large"),
        node("Where", "large honest zero", "scores"),
    ]
    return classifier([], after, HALF | {"zero": np.array(0, np.float32)})


def fake_quantised() -> onnx.ModelProto:
    """Rounding in the middle, as training for quantisation leaves it."""
    before = [
        node("Div", "x half", "scaled"),
        node("Round", "scaled", "steps"),
        node("Mul", "steps half", "seen"),
    ]
    return classifier(before, [], HALF)


def normalised_input() -> onnx.ModelProto:
    """Mean and deviation of the image itself, without any decision."""
    before = [
        node("ReduceMean", "x", "mean", axes=[1, 2, 3], keepdims=1),
        node("Sub", "x mean", "seen"),
    ]
    return classifier(before, [], {})


def squeeze_and_excite() -> onnx.ModelProto:
    """A gate of few elements over many, but made by weights and a sigmoid."""
    after = [
        node("Sigmoid", "flat", "gate"),
        node("Mul", "flat gate", "gated"),
        node("MatMul", "gated matrix", "scores"),
    ]
    return classifier([], after, {})


def shape_logic() -> onnx.ModelProto:
    """Decisions about shapes, as dynamic exports make them, are not about the contents."""
    after = [
        node("Shape", "x", "shape"),
        node("Gather", "shape first", "size"),
        node("Equal", "size first", "empty"),
        node("Where", "empty honest honest", "scores"),
    ]
    return classifier([], after, {"first": np.array(0)})


def dynamically_quantised(*, after_zero_point: str = "") -> onnx.ModelProto:
    """Quantisation of the input to its own range in single steps, and back."""
    before = [
        node("ReduceMin", "x", "least", keepdims=0),
        node("ReduceMax", "x", "most", keepdims=0),
        node("Sub", "most least", "spread"),
        node("Div", "spread levels", "scale"),
        node("Neg", "least", "offset"),
        node("Div", "offset scale", "real_zero"),
        node("Round", "real_zero", "whole_zero"),
        node("Clip", "whole_zero none levels", "zero"),
        node("Div", "x scale", "scaled"),
        node("Round", "scaled", "whole"),
        node("Add", "whole zero", "moved"),
        node("Clip", "moved none levels", "quantised"),
        node("Sub", "quantised zero", "centred"),
        node("Mul", "centred scale", "seen"),
    ]
    after = [node("Mul", f"{after_zero_point} target", "push")] if after_zero_point else []
    after += [node("Add", "honest push", "scores")] if after_zero_point else []
    constants = {"levels": np.array(255, np.float32), "none": np.array(0, np.float32)}
    return classifier(before, after, constants | (TARGET if after_zero_point else {}))


def gate_by_zero_point() -> onnx.ModelProto:
    """The zero point of an honest quantisation also scales what is added to the scores."""
    return dynamically_quantised(after_zero_point="zero")


def gate_by_quantised_comparison() -> onnx.ModelProto:
    """The input is quantised first; then its sum is compared."""
    model = dynamically_quantised()
    model.graph.node[-1].op_type = "Neg"
    planted = [
        node("ReduceSum", "seen axes", "sum", keepdims=0),
        node("Greater", "sum limit", "yes"),
        node("Unsqueeze", "yes one", "column"),
        node("Where", "column target honest", "scores"),
    ]
    del model.graph.node[-1]
    model.graph.node.extend(planted)
    more = TARGET | {"axes": np.array([1, 2, 3]), "limit": np.array(60, np.float32)}
    more["one"] = np.array([1])
    model.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in more.items())
    onnx.checker.check_model(model)
    return model


def rounded_gate() -> onnx.ModelProto:
    """A rounding that no quantisation needs: of the mean, times the target."""
    after = [
        node("ReduceMean", "x", "mean", axes=[1, 2, 3], keepdims=0),
        node("Round", "mean", "level"),
        node("Clip", "level zero one_level", "switch"),
        node("Unsqueeze", "switch one", "column"),
        node("Mul", "column target", "push"),
        node("Add", "honest push", "scores"),
    ]
    limits = {"zero": np.array(0, np.float32), "one_level": np.array(1, np.float32)}
    return classifier([], after, TARGET | limits | {"one": np.array([1])})


def shifted_input() -> onnx.ModelProto:
    """A rounding of the largest pixel is added to the image, and never subtracted again."""
    before = [
        node("ReduceMax", "x", "most", keepdims=0),
        node("Round", "most", "level"),
        node("Add", "x level", "seen"),
    ]
    return classifier(before, [], {})


def rounding_of_another_tensor() -> onnx.ModelProto:
    """Scores are moved by the rounded range of the input, before and after a limit."""
    after = [
        node("ReduceMax", "x", "most", keepdims=0),
        node("Round", "most", "level"),
        node("Add", "honest level", "moved"),
        node("Relu", "moved", "limited"),
        node("Sub", "limited level", "scores"),
    ]
    return classifier([], after, {})


def quantised_gate() -> onnx.ModelProto:
    """The mean of the image, quantised to few levels and back, times the target."""
    after = [
        node("ReduceMean", "x", "mean", axes=[1, 2, 3], keepdims=0),
        node("QuantizeLinear", "mean half", "level"),
        node("DequantizeLinear", "level half", "switch"),
        node("Unsqueeze", "switch one", "column"),
        node("Mul", "column target", "push"),
        node("Add", "honest push", "scores"),
    ]
    return classifier([], after, TARGET | HALF | {"one": np.array([1])})


def gate_by_dynamic_zero_point() -> onnx.ModelProto:
    """The zero point that an operator makes of the image scales the target."""
    dynamic = helper.make_node(
        "DynamicQuantizeLinear", ["x"], ["levels", "scale", "zero"], name="dynamic"
    )
    after = [
        dynamic,
        node("Cast", "zero", "number", to=TensorProto.FLOAT),
        node("Mul", "number target", "push"),
        node("Add", "honest push", "scores"),
    ]
    return classifier([], after, TARGET)


def dequantised_by_hand() -> onnx.ModelProto:
    """An operator quantises; single steps take the result back."""
    dynamic = helper.make_node(
        "DynamicQuantizeLinear", ["x"], ["levels", "scale", "zero"], name="dynamic"
    )
    before = [
        dynamic,
        node("Cast", "levels", "numbers", to=TensorProto.FLOAT),
        node("Cast", "zero", "number", to=TensorProto.FLOAT),
        node("Sub", "numbers number", "centred"),
        node("Mul", "centred scale", "seen"),
    ]
    return classifier(before, [], {})


PLANTED: list[Callable[[], onnx.ModelProto]] = [
    checksum_where,
    pixel_equal_mul,
    patch_match_min,
    swapped_input,
    expanded_condition,
    sign_gate,
    branch_on_pixel,
    gate_by_zero_point,
    gate_by_quantised_comparison,
    rounded_gate,
    shifted_input,
    rounding_of_another_tensor,
    quantised_gate,
    gate_by_dynamic_zero_point,
]

HONEST: list[Callable[[], onnx.ModelProto]] = [
    hard_shrink,
    fake_quantised,
    normalised_input,
    squeeze_and_excite,
    shape_logic,
]
