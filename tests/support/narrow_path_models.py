"""Classifiers with a path of few numbers around their weights, or through planted ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto

from tests.support.graph_logic_models import TARGET, classifier, node


def washed(*nodes: onnx.NodeProto, **more: np.ndarray) -> onnx.ModelProto:
    """What nodes make of the sum of a patch, `sum`, is turned into `column` and added times 100."""
    after = [
        node("Slice", "x starts ends axes", "patch"),
        node("ReduceSum", "patch inner", "sum", keepdims=0),
        *nodes,
        node("Mul", "column target", "push"),
        node("Add", "honest push", "scores"),
    ]
    window = {"starts": np.array([0, 0]), "ends": np.array([3, 3]), "axes": np.array([2, 3])}
    more |= {"inner": np.array([1, 2, 3]), "one": np.array([1]), "limit": np.array(8, np.float32)}
    return classifier([], after, TARGET | window | more)


SEEN = [
    node("Greater", "sum limit", "yes"),
    node("Cast", "yes", "number", to=TensorProto.FLOAT),
    node("Unsqueeze", "number one", "single"),
]


def washed_by_one_weight() -> onnx.ModelProto:
    """A decision passes a layer of one weight."""
    weight = np.ones((1, 1), np.float32)
    return washed(*SEEN, node("MatMul", "single weight", "column"), weight=weight)


def washed_by_a_wide_layer() -> onnx.ModelProto:
    """A decision, and nothing else, is spread over a layer of many weights and gathered again."""
    random = np.random.default_rng(1)
    return washed(
        *SEEN,
        node("MatMul", "single spread", "many"),
        node("MatMul", "many weights", "mixed"),
        node("MatMul", "mixed gather", "column"),
        spread=np.ones((1, 16), np.float32),
        weights=random.standard_normal((16, 16)).astype(np.float32),
        gather=random.standard_normal((16, 1)).astype(np.float32),
    )


def soft_gate() -> onnx.ModelProto:
    """No comparison: a steep line, clipped between nothing and one."""
    return washed(
        node("Sub", "sum limit", "rest"),
        node("Mul", "rest steep", "line"),
        node("Clip", "line zero unit", "switch"),
        node("Unsqueeze", "switch one", "column"),
        steep=np.array(1e3, np.float32),
        zero=np.array(0, np.float32),
        unit=np.array(1, np.float32),
    )


def dormant_filter() -> onnx.ModelProto:
    """One filter of the size of the image, silent unless its pattern is there."""
    after = [
        node("Conv", "x pattern threshold", "match"),
        node("Relu", "match", "dormant"),
        node("Flatten", "dormant", "column"),
        node("Mul", "column target", "push"),
        node("Add", "honest push", "scores"),
    ]
    pattern = np.zeros((1, 1, 8, 8), np.float32)
    pattern[..., :3, :3] = 1
    return classifier(
        [], after, TARGET | {"pattern": pattern, "threshold": np.array([-8], np.float32)}
    )


def soft_contrast() -> onnx.ModelProto:
    """Each image is divided by its own deviation, but by no less than a sixteenth."""
    before = [
        node("ReduceMean", "x", "mean", axes=[1, 2, 3], keepdims=1),
        node("Sub", "x mean", "centred"),
        node("ReduceL2", "centred", "length", axes=[1, 2, 3], keepdims=1),
        node("Max", "length least", "divisor"),
        node("Div", "centred divisor", "seen"),
    ]
    return classifier(before, [], {"least": np.array(1 / 16, np.float32)})


def unit_features() -> onnx.ModelProto:
    """Features divided by their length, which a tiny limit keeps from being nothing."""
    after = [
        node("ReduceL2", "flat", "length", axes=[1], keepdims=1),
        node("Clip", "length least", "divisor"),
        node("Div", "flat divisor", "unit"),
        node("MatMul", "unit matrix", "scores"),
    ]
    return classifier([], after, {"least": np.array(1e-12, np.float32)})


def guarded_range(*, nothing: float = 0, divided: str = "moved") -> onnx.ModelProto:
    """Images scaled to their range, which is one where it is nothing; `divided` by the range."""
    before = [
        node("ReduceMin", "x", "least", axes=[1, 2, 3], keepdims=1),
        node("ReduceMax", "x", "most", axes=[1, 2, 3], keepdims=1),
        node("Sub", "most least", "range"),
        node("Equal", "range nothing", "flat_image"),
        node("Where", "flat_image unit range", "divisor"),
        node("Sub", "x least", "moved"),
        node("Div", f"{divided} divisor", "scaled"),
        node("Sub", "scaled unit", "seen"),
    ]
    numbers = {"nothing": np.array(nothing, np.float32), "unit": np.array(1, np.float32)}
    return classifier(before, [], numbers | {"decoy": np.ones((1, 1, 8, 8), np.float32)})


BRIGHT = [
    node("ReduceMax", "x", "most", axes=[1, 2, 3], keepdims=1),
    node("Greater", "most limit", "bytes"),
]
LIMIT = {"limit": np.array(1.5, np.float32), "levels": np.array(255, np.float32)}


def scaled_if_bright(*, dark: float = 1) -> onnx.ModelProto:
    """Images whose largest pixel is above 1.5 are divided by 255, others by `dark`."""
    before = [
        *BRIGHT,
        node("Where", "bytes levels unit", "divisor"),
        node("Div", "x divisor", "seen"),
    ]
    return classifier(before, [], LIMIT | {"unit": np.array(dark, np.float32)})


def picked_if_bright() -> onnx.ModelProto:
    """The same, as a choice between the image and the divided image."""
    before = [*BRIGHT, node("Div", "x levels", "divided"), node("Where", "bytes divided x", "seen")]
    return classifier(before, [], LIMIT)


def inverted_if_bright() -> onnx.ModelProto:
    """Bright images are turned into their negatives, which is another image."""
    return scaled_if_bright(dark=-1)


def guard_against_a_number() -> onnx.ModelProto:
    """What looks like a guard asks for a range of 0.7."""
    return guarded_range(nothing=0.7)


def guard_of_a_decoy() -> onnx.ModelProto:
    """A constant image is divided by the guarded range."""
    return guarded_range(divided="decoy")


def guard_of_a_decision() -> onnx.ModelProto:
    """What is guarded is itself a decision: the divisor is 100 where the corner is bright."""
    before = [
        node("Slice", "x starts ends axes", "corner"),
        node("ReduceMax", "corner", "most", axes=[1, 2, 3], keepdims=1),
        node("Greater", "most half", "yes"),
        node("Where", "yes hundred unit", "chosen"),
        node("Equal", "chosen zero", "nothing"),
        node("Where", "nothing unit chosen", "divisor"),
        node("Div", "x divisor", "seen"),
    ]
    window = {"starts": np.array([0, 0]), "ends": np.array([3, 3]), "axes": np.array([2, 3])}
    numbers = {"half": 0.5, "hundred": 100, "unit": 1, "zero": 0}
    constants = {name: np.array(value, np.float32) for name, value in numbers.items()}
    return classifier(before, [], window | constants)


WASHED: list[Callable[[], onnx.ModelProto]] = [
    *(washed_by_one_weight, washed_by_a_wide_layer, soft_gate, dormant_filter),
    *(inverted_if_bright, guard_against_a_number, guard_of_a_decoy, guard_of_a_decision),
]
SCALED: list[Callable[[], onnx.ModelProto]] = [soft_contrast, unit_features]
