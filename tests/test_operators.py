"""Laws of every operator the converters handle, each on graphs of one or two nodes.

A case is a line of ONNX text from the input `x` to the output `y`, with an opset and constants. A
constant whose name begins with `late` reaches the twin only when it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper, parser
from torch import nn

from stages.convert import build_module
from stages.converters import register
from stages.converters.aliases import SAME
from stages.converters.expand import Expand
from stages.converters.registration import versions
from stages.converters.reshape import Reshape
from stages.errors import ConversionError
from stages.inspection import NEWEST_OPSET, OLDEST_OPSET
from stages.normalise import normalise

Array = npt.NDArray[Any]

TOLERANCE = 1e-5  # of float32 sums over less than a thousand elements
HALF = 1e-3  # what a number of float16 is rounded by, at most
FAR = 2**63 - 1  # how exporters write an open end


def draw(*shape: int) -> Array:
    """Standard normal float32 numbers, the same for the same shape only."""
    return np.random.default_rng((17, *shape)).standard_normal(shape).astype(np.float32)


def spaced(*shape: int) -> Array:
    """Numbers around zero in random order, no two closer than 0.01: no maximum is in doubt."""
    numbers = np.random.default_rng(5).permutation(int(np.prod(shape))).reshape(shape)
    return ((numbers - numbers.size // 2) / 100 + 0.005).astype(np.float32)


def ints(*numbers: int) -> Array:
    """A vector of int64."""
    return np.array(numbers, np.int64)


def real(number: float) -> Array:
    """A float32 scalar."""
    return np.array(number, np.float32)


IMAGES = spaced(2, 4, 7, 9)
ROWS = draw(3, 5)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One small graph and the input it is fed."""

    text: str
    opset: int
    x: Array
    constants: dict[str, Array] = field(default_factory=dict)

    def __str__(self) -> str:
        """The graph's text, which names the test."""
        return f"{self.opset}: {self.text} {list(self.x.shape)}"


def case(text: str, x: Array = IMAGES, opset: int = 17, **constants: Array) -> Case:
    """The case with those constants."""
    return Case(text=text, opset=opset, x=x, constants=constants)


def model_of(one: Case) -> ModelProto:
    """The case as a model whose first axis is free and whose output is of unstated type."""
    imports = f'<ir_version: 9, opset_import: ["": {one.opset}]>'
    model = parser.parse_model(f"{imports} g (float[batch] x) => (float[batch] y) {{ {one.text} }}")
    kind = helper.np_dtype_to_tensor_dtype(one.x.dtype)
    shape = ("batch", *one.x.shape[1:])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, shape))
    model.graph.output[0].CopyFrom(helper.make_empty_tensor_value_info("y"))
    nodes = [node for name, value in one.constants.items() for node in _late(name, value)]
    nodes += list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, _stored(name)) for name, value in one.constants.items()
    )
    return model


def _stored(name: str) -> str:
    return f"stored_{name}" if name.startswith("late") else name


def _late(name: str, value: Array) -> list[onnx.NodeProto]:
    """Nodes that add a zero made of x to a stored constant, so that no one knows it before."""
    if not name.startswith("late"):
        return []
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return [
        helper.make_node("Flatten", ["x"], [f"{name}_flat"], axis=0),
        helper.make_node("ArgMax", [f"{name}_flat"], [f"{name}_place"], axis=1, keepdims=0),
        helper.make_node("Cast", [f"{name}_place"], [f"{name}_one"], to=kind),
        helper.make_node("Sub", [f"{name}_one", f"{name}_one"], [f"{name}_zeros"]),
        helper.make_node("Add", [f"stored_{name}", f"{name}_zeros"], [f"{name}_sum"]),
        helper.make_node("Shape", [f"stored_{name}"], [f"{name}_shape"]),
        helper.make_node("Reshape", [f"{name}_sum", f"{name}_shape"], [name]),
    ]


def by_onnxruntime(model: ModelProto, x: Array) -> Array:
    """What onnxruntime computes on the CPU, without its own rewriting of the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": x})[0])


def by_twin(model: ModelProto, x: Array) -> Array:
    """What the torch twin of the model computes."""
    with torch.no_grad():
        return np.asarray(build_module(model)(torch.from_numpy(x)).numpy())


def check(one: Case) -> None:
    """Compares the twins of the graph as it is and normalised with onnxruntime."""
    model = model_of(one)
    expected = by_onnxruntime(model, one.x)
    tolerance = HALF if expected.dtype == np.float16 else TOLERANCE
    twins = (model, one.x), (normalise(model), one.x.astype(_normal(one.x.dtype)))
    for (twin, x), dtype in zip(twins, (expected.dtype, _normal(expected.dtype)), strict=True):
        found = by_twin(twin, x)
        assert (found.shape, found.dtype) == (expected.shape, dtype)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def _normal(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that the normalised model has for one of the file."""
    return np.dtype(np.float32) if np.issubdtype(dtype, np.floating) else dtype


def at_versions(
    operator: str, text: str, x: Array = ROWS, since: int = OLDEST_OPSET, until: int = 0, **k: Array
) -> list[Case]:
    """The case at the first opset of each version of the operator between two opsets."""
    borders = [*versions(operator), NEWEST_OPSET + 1]
    spans = pairwise(borders)
    firsts = [max(first, since) for first, following in spans if max(first, since) < following]
    return [case(text, x, opset, **k) for opset in firsts if opset <= (until or NEWEST_OPSET)]


def convolutions() -> list[Case]:
    """Convolutions by weights of the file and by weights computed in the graph."""
    weight, bias, halves = draw(6, 4, 3, 2), draw(6), draw(6, 2, 3, 2)
    spatial = {"w": draw(2, 3, 2, 2, 2), "b": draw(2)}
    forms = ["", "strides=[2, 3], ", "dilations=[2, 2], "]
    found = []
    for auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        for form in forms[: 2 if "SAME" in auto else 3]:  # onnxruntime does not dilate SAME
            text = f'y = Conv<{form}auto_pad="{auto}">'
            found.append(case(f"{text}(x, w, b)", w=weight, b=bias))
            found.append(case(f"{text}(x, late_w, late_b)", late_w=weight, late_b=bias))
        text = f'y = Conv<group=2, auto_pad="{auto}">'
        found.append(case(f"{text}(x, w, b)", w=halves, b=bias))
        found.append(case(f"{text}(x, late_w)", late_w=halves))
    one_axis = {"w": draw(3, 4, 3)}
    return [
        *found,
        case("y = Conv<pads=[1, 1]>(x, w)", draw(2, 4, 8), **one_axis),
        case("y = Conv<pads=[1, 2], strides=[2]>(x, w)", draw(2, 4, 8), **one_axis),
        case('y = Conv<auto_pad="SAME_LOWER", strides=[3]>(x, w)', draw(2, 4, 8), **one_axis),
        case("y = Conv<pads=[1, 0, 1, 1, 0, 1]>(x, w, b)", draw(2, 3, 4, 4, 4), **spatial),
        case("y = Conv<pads=[1, 0, 1, 0, 1, 1]>(x, w, b)", draw(2, 3, 4, 4, 4), **spatial),
        case("y = Conv(x, late_w)", draw(2, 3, 4, 4, 4), late_w=spatial["w"]),
        case("y = Conv(x, late_w)", draw(2, 4, 8), late_w=draw(3, 4, 3)),
        case("y = Conv(x, w, late_b)", w=weight, late_b=bias),
        case("y = Conv<group=4>(x, w)", opset=22, w=draw(8, 1, 3, 3)),
        case("y = Conv<group=4, pads=[0, 1, 1, 0]>(x, w)", opset=22, w=draw(8, 1, 3, 3)),
    ]


def transposed_convolutions() -> list[Case]:
    """Transposed convolutions as far as torch has them."""
    forms = [
        "",
        "<strides=[2, 3]>",
        "<dilations=[2, 1]>",
        '<auto_pad="VALID">',
        "<pads=[1, 1, 1, 1], strides=[2, 2], output_padding=[1, 0]>",
    ]
    weights = {"w": draw(4, 3, 3, 3), "b": draw(3)}
    return [
        *(
            one
            for form in forms
            for one in at_versions(
                "ConvTranspose", f"y = ConvTranspose{form}(x, w, b)", IMAGES, **weights
            )
        ),
        case("y = ConvTranspose<group=2>(x, w)", w=draw(4, 3, 3, 3)),
        case("y = ConvTranspose<strides=[2]>(x, w)", draw(2, 4, 5), w=draw(4, 3, 3)),
        case("y = ConvTranspose(x, w)", draw(2, 4, 3, 3, 3), w=draw(4, 3, 2, 2, 2)),
    ]


def poolings() -> list[Case]:
    """Pooling windows with every padding and rounding that has a torch counterpart."""
    windows = [
        "kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]",
        "kernel_shape=[3, 3], strides=[2, 2], pads=[2, 2, 2, 2]",
        "kernel_shape=[3, 2], strides=[2, 3], pads=[0, 1, 1, 0]",
        'kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"',
        'kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER"',
        'kernel_shape=[2, 2], strides=[3, 3], auto_pad="VALID"',
        "kernel_shape=[2, 3]",
    ]
    found = [
        case(f"y = {text}>(x)", IMAGES - 3, opset)
        for window in windows
        for opset in (8, 11, 22)
        for text in (f"MaxPool<{window}", f"AveragePool<{window}", _counting(window))
    ]
    rounded = [
        ("MaxPool", "kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]"),
        ("MaxPool", "kernel_shape=[3, 3], strides=[2, 2], pads=[2, 2, 2, 2]"),
        ("MaxPool", "kernel_shape=[3, 2], strides=[2, 3], pads=[0, 1, 1, 0]"),
        ("MaxPool", "kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1]"),
        ("MaxPool", "kernel_shape=[2, 2], strides=[3, 3], pads=[1, 0, 0, 1]"),
        ("MaxPool", 'kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER"'),
        ("AveragePool", "kernel_shape=[3, 3], strides=[3, 2]"),
        ("AveragePool", "kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]"),
        ("AveragePool", "kernel_shape=[3, 3], strides=[3, 2], count_include_pad=1"),
    ]
    found += [
        case(f"y = {operator}<ceil_mode=1, {window}>(x)", x, 19)
        for operator, window in rounded
        for x in (IMAGES, draw(2, 3, 8, 10))
    ]
    found += [
        case(f"y = {operator}<kernel_shape={[2] * rank}>(x)", draw(2, 3, *range(4, 4 + rank)))
        for operator in ("MaxPool", "AveragePool")
        for rank in (1, 2, 3)
    ]
    found += [
        one
        for operator in ("GlobalAveragePool", "GlobalMaxPool")
        for rank in (1, 2, 3)
        for one in at_versions(operator, f"y = {operator}(x)", draw(2, 3, *range(4, 4 + rank)))
    ]
    dilated = "kernel_shape=[3, 3], dilations=[2, 2]"
    return [
        *found,
        case(f"y = MaxPool<{dilated}>(x)"),
        case(f"y = MaxPool<{dilated}, pads=[2, 2, 2, 2]>(x)"),
        case(f"y = MaxPool<{dilated}, pads=[1, 0, 0, 1], strides=[2, 2]>(x)"),
    ]


def _counting(window: str) -> str:
    return f"AveragePool<count_include_pad=1, {window}"


def normalisations() -> list[Case]:
    """BatchNormalization at every rank and version, LayerNormalization over every axis."""
    found = []
    for rank in (2, 3, 4, 5):
        x = draw(3, 4, *[2] * (rank - 2))
        four = {"s": draw(4), "b": draw(4), "m": draw(4) / 2, "v": np.abs(draw(4)) + 0.5}
        text = "y = BatchNormalization<epsilon=0.1, momentum=0.5>"
        found += at_versions("BatchNormalization", f"{text}(x, s, b, m, v)", x, **four)
        late = {**{name: four[name] for name in "sbv"}, "late_m": four["m"]}
        found.append(case(f"{text}(x, s, b, late_m, v)", x, **late))
    for axis in range(-4, 4):
        shape = IMAGES.shape[axis:]
        text = f"y = LayerNormalization<axis={axis}, epsilon=0.01>"
        found.append(case(f"{text}(x, s, b)", s=draw(*shape), b=draw(*shape) + 1))
        found.append(case(f"{text}(x, s)", s=draw(shape[-1])))
        found.append(case(f"{text}(x, late_s, b)", late_s=draw(*shape), b=draw(shape[-1])))
    instance = {"s": draw(3), "b": draw(3) + 1}
    for x in (draw(2, 3, 5), draw(2, 3, 4, 5), draw(2, 3, 2, 3, 2)):
        text = "y = InstanceNormalization<epsilon=0.1>(x, s, b)"
        found += at_versions("InstanceNormalization", text, x, **instance)
    late = {"late_s": draw(3), "b": draw(3)}
    return [*found, case("y = InstanceNormalization(x, late_s, b)", draw(2, 3, 4), **late)]


def products() -> list[Case]:
    """Matrix products of all ranks and Gemm in all its forms."""
    gemm = {"b": draw(5, 2)}
    return [
        case("y = MatMul(x, w)", draw(4), w=draw(4, 3)),
        case("y = MatMul(x, w)", draw(2, 3, 4), w=draw(4, 5)),
        case("y = MatMul(x, w)", draw(2, 3, 2, 4), opset=9, w=draw(4, 5)),
        case("y = MatMul(x, w)", draw(3, 4), w=draw(4)),
        case("y = MatMul(w, x)", draw(4, 3), w=draw(2, 4)),
        case("y = MatMul(x, w)", draw(2, 1, 3, 4), w=draw(5, 4, 2)),
        case("y = MatMul(x, late_w)", draw(3, 4), late_w=draw(4, 2)),
        case("t = Transpose<perm=[0, 2, 1]>(x) y = MatMul(x, t)", draw(2, 3, 4)),
        case("y = MatMul(x, w)", draw(3, 4).astype(np.float64), w=draw(4, 2).astype(np.float64)),
        case(
            "i = Cast<to=6>(x) y = MatMul(i, w)",
            5 * ROWS,
            w=np.arange(10, dtype=np.int32).reshape(5, 2),
        ),
        *at_versions("Gemm", "y = Gemm(x, b, c)", **gemm, c=draw(2)),
        *at_versions("Gemm", "y = Gemm<alpha=0.5, beta=2.0>(x, b, c)", **gemm, c=draw(2)),
        *at_versions("Gemm", "y = Gemm<alpha=0.5>(x, b)", since=11, **gemm),
        case("y = Gemm<transB=1>(x, b, c)", b=draw(2, 5), c=draw(2), x=ROWS),
        case("y = Gemm<transA=1>(x, b, c)", ROWS, b=draw(3, 2), c=draw(2)),
        case("y = Gemm<transA=1, transB=1>(x, b)", ROWS, b=draw(2, 3)),
        case("y = Gemm<beta=0.5>(x, b, c)", ROWS, **gemm, c=draw(1, 2)),
        case("y = Gemm(x, b, c)", ROWS, **gemm, c=draw(3, 1)),
        case("y = Gemm(x, b, c)", ROWS, **gemm, c=real(2)),
        case("y = Gemm(x, b, c)", ROWS, **gemm, c=draw(1)),
        case("y = Gemm(x, late_b, c)", ROWS, late_b=draw(5, 2), c=draw(2)),
        case("y = Gemm(x, b, late_c)", ROWS, **gemm, late_c=draw(2)),
        case("y = Gemm(w, x)", ROWS, w=draw(2, 3)),
    ]


QUERIES = draw(2, 4, 5, 8)


def attentions() -> list[Case]:
    """Attention with heads apart: masks, causal, scale, shared and differently long keys."""
    same = {"k": draw(2, 4, 5, 8), "v": draw(2, 4, 5, 8) - 1}
    masks = (draw(5, 5), draw(5, 5) > -0.5, draw(2, 1, 5, 5))
    causal = "y = Attention<is_causal=1>"
    return [
        *(case("y = Attention(x, k, v, m)", QUERIES, 23, **same, m=mask) for mask in masks),
        *(
            case(f"{causal}(x, k, v, m)", QUERIES, 23, **same, m=np.abs(mask))
            for mask in masks[::2]
        ),
        case(f"{causal}(x, k, v, m)", QUERIES, 23, **same, m=np.triu(np.ones((5, 5))) < 2),
        case("y = Attention(x, k, v)", QUERIES, 23, k=draw(2, 4, 6, 8), v=draw(2, 4, 6, 3)),
        case("y = Attention(x, k, v)", QUERIES, 23, k=draw(2, 2, 6, 8), v=draw(2, 2, 6, 3)),
        case(f"{causal}(x, k, v)", QUERIES, 23, k=draw(2, 4, 6, 8), v=draw(2, 4, 6, 8)),
        case(f"{causal}(x, k, v)", QUERIES, 23, k=draw(2, 4, 4, 8), v=draw(2, 4, 4, 8)),
        case("y = Attention<scale=0.25>(x, x, x)", QUERIES, 23),
        case("y = Attention(x, late_k, x)", QUERIES, 23, late_k=draw(2, 4, 5, 8)),
    ]


def shapings() -> list[Case]:
    """Operators that move, repeat or drop elements."""
    every = ints(0, 0, 1, 2, 0, 0, 3, 1)
    ones = draw(2, 1, 3, 1)
    boolean = "r = Relu(x) c = Cast<to=9>(r)"
    return [
        case("y = Reshape(x, t)", opset=7, t=ints(0, 0, -1)),
        case("y = Reshape<allowzero=1>(x, t)", draw(2, 0, 3), 19, t=ints(3, 0, 2)),
        case("y = Reshape(x, late_t)", late_t=ints(0, -1, 3)),
        case(
            "s = Shape(x) h = Slice(s, a, b) t = Concat<axis=0>(h, m) y = Reshape(x, t)",
            a=ints(0),
            b=ints(2),
            m=ints(-1),
        ),
        *(
            one
            for axis in range(5)
            for one in at_versions("Flatten", f"y = Flatten<axis={axis}>(x)", IMAGES)
        ),
        *(case(f"y = Flatten<axis={axis}>(x)", opset=13) for axis in (-1, -3)),
        *at_versions("Flatten", "y = Flatten(x)", draw(4)),
        *at_versions("Squeeze", "y = Squeeze<axes=[1, 3]>(x)", ones, until=12),
        *at_versions("Squeeze", "y = Squeeze<axes=[-1, 1]>(x)", ones, 11, 12),
        *at_versions("Squeeze", "y = Squeeze(x, a)", ones, 13, a=ints(-1, 1)),
        *at_versions("Squeeze", "y = Squeeze(x)", ones),
        *(
            case("y = Squeeze(x, a)", draw(2, 1, 3, 1, 1), a=a)
            for a in (ints(1, -1, 3), ints(-4, 3))
        ),
        case("y = Squeeze(x, late_a)", ones, late_a=ints(1)),
        *at_versions("Unsqueeze", "y = Unsqueeze<axes=[0, 3]>(x)", until=12),
        *at_versions("Unsqueeze", "y = Unsqueeze<axes=[-1, 1]>(x)", since=11, until=12),
        *at_versions("Unsqueeze", "y = Unsqueeze(x, a)", since=13, a=ints(-1, -2)),
        *(
            case("y = Unsqueeze(x, a)", ROWS, a=ints(*a))
            for a in ((-2, -4), (3, 0), (-4, 1), (-1, 1))
        ),
        case("y = Unsqueeze(x, a)", ROWS, a=np.array(1)),
        case("y = Unsqueeze(x, late_a)", ROWS, late_a=ints(-1)),
        *at_versions("Transpose", "y = Transpose(x)", IMAGES),
        *at_versions("Transpose", "y = Transpose<perm=[0, 2, 3, 1]>(x)", IMAGES),
        case("y = Expand(x, t)", ROWS, t=ints(2, 1, 5)),
        case("y = Expand(x, t)", draw(3, 1), t=ints(4)),
        case("y = Expand(x, t)", draw(2, 3, 4), t=ints(1)),
        case("y = Expand(x, late_t)", ROWS, opset=8, late_t=ints(2, 1, 1)),
        *at_versions("Tile", "y = Tile(x, r)", r=ints(2, 3)),
        case("y = Tile(x, late_r)", ROWS, late_r=ints(1, 2)),
        *at_versions("Concat", "y = Concat<axis=1>(x, w, x)", w=draw(3, 2)),
        case("y = Concat<axis=-2>(x, w)", ROWS, w=draw(2, 5)),
        case("y = Concat<axis=0>(x)", ROWS),
        *(
            case(f'y = Pad<mode="{mode}">(x, p)', opset=19, p=every)
            for mode in ("wrap", "edge", "reflect", "constant")
        ),
        *(
            case(f'y = Pad<mode="{mode}">(x, p)', p=ints(0, 0, -1, 2, 0, 0, 3, -1))
            for mode in ("edge", "reflect")
        ),
        *(
            case(f'y = Pad<mode="{mode}">(x, late_p)', late_p=every)
            for mode in ("edge", "constant")
        ),
        *(
            case(f'y = Pad<mode="{mode}", pads={every.tolist()}>(x)', opset=10)
            for mode in ("edge", "reflect")
        ),
        case('y = Pad<mode="reflect">(x, p)', ROWS, p=ints(0, 2, 0, 1)),
        case('y = Pad<mode="reflect">(x, p)', draw(2, 3, 6), p=ints(0, 0, 2, 0, 0, 1)),
        case(
            'y = Pad<mode="edge">(x, p)', draw(2, 3, 4, 3, 4), p=ints(0, 0, 2, 0, 1, 0, 0, 1, 1, 3)
        ),
        case("y = Pad<pads=[0, 1, 1, 1, 0, 0, 0, 2], value=2.5>(x)", opset=10),
        case("y = Pad(x, p, v, a)", opset=18, p=ints(1, 2, 3, 4), v=real(1.5), a=ints(3, 1)),
        case("y = Pad(x, p, , late_a)", opset=18, p=ints(1, 2), late_a=ints(-2)),
        case("y = Pad(x, p, late_v)", p=every, late_v=real(0.5)),
        case("y = Pad(x, p, , a)", opset=18, p=ints(), a=ints()),
        case("i = Cast<to=7>(x) y = Pad(i, p, v)", p=every, v=np.array(7)),
        case(f"{boolean} y = Pad(c, p)", p=every),
        case(
            "y = Slice(x, s, e, , t)",
            s=ints(1, 0, 2, 8),
            e=ints(FAR, FAR, FAR, -FAR),
            t=ints(1, 2, 3, -2),
        ),
        case("y = Slice(x, s, e, a)", s=ints(-3, 5), e=ints(-1, 2), a=ints(-1, 2)),
        case("y = Slice(x, s, late_e, a)", s=ints(1), late_e=ints(-1), a=ints(-1)),
        case("y = Slice(x, s, late_e, , t)", s=ints(0, 3), late_e=ints(2, -FAR), t=ints(1, -1)),
        case("y = Slice<starts=[1], ends=[-1], axes=[2]>(x)", opset=9),
        case("y = Slice(x, s, e)", s=np.array([1], np.int32), e=np.array([2**31 - 1], np.int32)),
        case("a, b, c = Split<axis=1>(x, s) y = Concat<axis=1>(c, a, b)", s=ints(1, 2, 1)),
        case("a, b = Split<axis=-1>(x, s) y = Concat<axis=3>(b, a)", s=ints(0, 9)),
        case("a, b = Split<axis=-1, split=[2, 7]>(x) y = Concat<axis=3>(b, a)", opset=11),
        case("a, b = Split<axis=1>(x, late_s) y = Concat<axis=1>(b, a)", late_s=ints(3, 1)),
        case("a, b, c = Split<axis=2, num_outputs=3>(x) y = Concat<axis=2>(c, b)", opset=18),
        case("a, b = Split(x) y = Sub(b, a)"),
        case("y = Split<axis=1>(x)"),
        case("a, y = Split<axis=1>(x)"),
        case("y, b, c = Split<axis=1>(x, s)", s=ints(2, 1, 1)),
        *at_versions("Gather", "y = Gather<axis=1>(x, i)", i=np.array([[0, 2], [1, 1]])),
        case("y = Gather<axis=-1>(x, i)", ROWS, i=ints(-1, 0)),
        case("y = Gather(x, i)", ROWS, i=np.array(-2, np.int32)),
        *at_versions(
            "GatherElements",
            "y = GatherElements<axis=-1>(x, i)",
            i=np.array([[0, -1], [2, 1], [1, 1]]),
        ),
        *at_versions(
            "ScatterND", "y = ScatterND(x, i, u)", i=np.array([[0, 1], [2, -1]]), u=draw(2)
        ),
        case("y = ScatterND(x, i, u)", ROWS, i=np.array([[2], [0]]), u=draw(2, 5)),
        *at_versions("Where", f"{boolean} y = Where(c, x, w)", w=draw(5)),
        case(f"{boolean} y = Where(c, w, x)", ROWS, w=real(-np.inf)),
    ]


def reductions() -> list[Case]:
    """Reductions over attribute, constant, computed, negative and no axes, and of integers."""
    operators = (
        "L1",
        "L2",
        "LogSum",
        "LogSumExp",
        "Max",
        "Mean",
        "Min",
        "Prod",
        "Sum",
        "SumSquare",
    )
    x = np.abs(draw(2, 3, 4)) + 0.5
    found = []
    for operator in operators:
        name = f"Reduce{operator}"
        found += [
            case(f"y = {name}<keepdims=0>(x, late_a)", x, 18, late_a=ints(2, -2)),
            case(f"y = {name}<keepdims=0>(x, a)", x, 18, a=ints(-1, 0)),
            case(f"y = {name}(x, a)", x, 18, a=ints()),
            case(f"y = {name}<noop_with_empty_axes=1>(x)", x, 18),
            case(f"y = {name}<noop_with_empty_axes=1>(x, a)", x, 18, a=ints()),
        ]
        if operator != "Sum":  # whose axes are an input from 13 on
            found.append(case(f"y = {name}<axes=[-1], keepdims=0>(x)", x, 17))
        found.append(case(f"y = {name}<axes=[0, 2]>(x)", x, 11))
    whole = ("Max", "Min", "Prod", "Sum", "L1")
    found += [case(f"i = Cast<to=7>(x) y = Reduce{one}<keepdims=0>(i)", 4 * x) for one in whole]
    boolean = "r = Relu(x) c = Cast<to=9>(r)"
    return [*found, case(f"{boolean} y = ReduceMax(c, a)", ROWS, 20, a=ints(1))]


def elementwise() -> list[Case]:
    """Operators on each element, alone or with others, at every version."""
    found = []
    plain = [
        "Abs",
        "Ceil",
        "Cos",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "HardSigmoid",
        "HardSwish",
        "Identity",
    ]
    plain += ["LeakyRelu", "Mish", "Neg", "Relu", "Round", "Selu", "Sigmoid", "Sign"]
    plain += ["Sin", "Softplus", "Softsign", "Tan", "Tanh"]
    for operator in plain:
        found += at_versions(operator, f"y = {operator}(x)")
    for operator in ("Log", "Reciprocal", "Sqrt"):
        found += at_versions(operator, f"y = {operator}(x)", np.abs(ROWS) + 0.5)
    for operator in ("Add", "Div", "Mul", "Pow", "Sub"):
        found += at_versions(operator, f"y = {operator}(x, w)", np.abs(ROWS) + 0.5, w=draw(5))
        apart = np.abs(draw(2, 3, 5)) + 0.5
        found.append(case(f"y = {operator}(w, x)", apart, w=np.abs(draw(3, 1)) + 0.2))
        whole = f"i = Cast<to=7>(x) y = {operator}(i, w)"
        found.append(case(whole, 9 * ROWS, w=ints(2, 3, 2, 1, 2)))
    for operator in ("Max", "Min", "Sum"):
        found += at_versions(operator, f"y = {operator}(x)")
        found += at_versions(operator, f"y = {operator}(x, w, v)", since=8, w=draw(5), v=draw(3, 1))
    for operator in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        since = 11 if operator == "Equal" else OLDEST_OPSET
        text = f"r = Relu(x) y = {operator}(r, w)"
        found += at_versions(operator, text, since=since, w=np.zeros(5, np.float32))
    logic = "r = Relu(x) c = Cast<to=9>(r) y ="
    for operator in ("And", "Or", "Xor"):
        found += at_versions(operator, f"{logic} {operator}(c, b)", b=draw(5) > 0)
    for operator in ("ArgMax", "ArgMin"):
        found += at_versions(operator, f"r = Relu(x) y = {operator}<axis=1>(r)")
        found.append(case(f"y = {operator}<axis=-1, keepdims=0>(x)", ROWS))
        found.append(case(f"r = Relu(x) y = {operator}<axis=1, select_last_index=1>(r)", ROWS))
    for slope in ((4, 1, 1), (1,), (9,), (7, 1)):
        found += at_versions("PRelu", "y = PRelu(x, s)", IMAGES, s=draw(*slope))
    for kind in (1, 2, 3, 5, 6, 7, 9, 10, 11):
        x = np.abs(ROWS) if kind == 2 else ROWS
        found += at_versions("Cast", f"y = Cast<to={kind}>(x)", 3 * x)
    return [
        *found,
        *at_versions("Not", f"{logic} Not(c)"),
        case("y = PRelu(x, late_s)", late_s=draw(4, 1, 1)),
        case("y = Elu<alpha=0.5>(x)", ROWS),
        case("y = HardSigmoid<alpha=0.4, beta=0.1>(x)", ROWS),
        case("y = LeakyRelu<alpha=0.3>(x)", ROWS),
        case("y = Softplus(x)", 30 * ROWS),
        case("y = Round(x)", np.array([[0.5, 1.5, 2.5, -0.5, -1.5]], np.float32)),
        *(case(f'y = Gelu<approximate="{form}">(x)', opset=20) for form in ("none", "tanh")),
        case("y = Gelu(x)", opset=20),
        *(case(f"y = Swish{form}(x)", opset=24) for form in ("", "<alpha=1.5>")),
        case("y = CastLike(x, l)", 3 * ROWS, 15, l=ints(1)),
        case("y = CastLike(x, l)", 3 * ROWS, 19, l=np.array(True)),
        case("s = Shape(x) y = CastLike(s, x)", ROWS, 21),
        *at_versions("Clip", "y = Clip<min=0.0, max=6.0>(x)", 5 * ROWS, until=10),
        case("y = Clip<max=0.5>(x)", ROWS, 10),
        case("y = Clip(x, , h)", ROWS, h=real(0.3)),
        case("y = Clip(x, l, h)", ROWS, l=real(0.5), h=real(-0.5)),
        case("y = Clip(x, , late_h)", ROWS, late_h=real(0.3)),
        case("y = Clip(x, late_l)", ROWS, late_l=real(0.3)),
        case("y = Clip(x, l, late_h)", ROWS, l=real(-0.4), late_h=real(0.3)),
        case("i = Cast<to=7>(x) y = Clip(i, l, h)", 3 * ROWS, l=np.array(-1), h=np.array(2)),
        case("i = Cast<to=7>(x) y = Clip(i, l)", 3 * ROWS, l=np.array(0)),
        case("i = Cast<to=7>(x) y = Clip(i, l, h)", 9 * ROWS, l=np.array(0), h=np.array(6)),
    ]


def generators() -> list[Case]:
    """Operators that make tensors out of shapes and numbers."""
    fill = "s = Shape(x) y = ConstantOfShape"
    return [
        *at_versions("Shape", "y = Shape(x)", IMAGES),
        *(
            case(f"s = Shape<{part}>(x) t = Concat<axis=0>(s, m) y = Reshape(x, t)", m=ints(-1))
            for part in ("start=1", "end=2", "start=-3, end=-1")
        ),
        *at_versions(
            "ConstantOfShape", "s = Shape(x) c = ConstantOfShape(s) y = Add(c, x)", since=9
        ),
        *at_versions("ConstantOfShape", f"{fill}<value=int64[1]{{3}}>(s)", since=9),
        case(f"{fill}<value=bool[1]{{1}}>(s)", ROWS),
        case(
            "s = Shape(x) n = Gather(s, i) y = Range(z, n, o)",
            ROWS,
            i=np.array(1),
            z=np.array(0),
            o=np.array(1),
        ),
        case("y = Range(late_z, n, o)", ROWS, late_z=np.array(5), n=np.array(-3), o=np.array(-2)),
        case("y = Range(late_z, n, o)", ROWS, late_z=real(0.5), n=real(3), o=real(0.5)),
    ]


def resizes() -> list[Case]:
    """Nearest and linear resizing, up and down, by scales and to sizes, at every rounding."""
    x, plane = draw(2, 3, 5, 7), draw(1, 1, 5, 7)
    scales = [
        np.array(numbers, np.float32)
        for numbers in ((1, 1, 2, 3), (1, 1, 0.6, 0.45), (1, 1, 1.3, 2.1), (1, 1, 0.1, 1))
    ]
    places = [
        *("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"),
        "half_pixel_symmetric",
    ]
    found = [
        case(
            f'y = Resize<nearest_mode="{near}", coordinate_transformation_mode="{place}">(x, , s)',
            *(x, 19),
            s=scale,
        )
        for near in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        for place in places[:-1]
        for scale in scales
    ]
    found += [
        case(
            f'y = Resize<mode="linear", coordinate_transformation_mode="{place}">(x, , {given})',
            *(x, 19),
            **constants,
        )
        for place in places
        for given, constants in (
            *(("s", {"s": scale}) for scale in scales[:3]),
            (", t", {"t": ints(2, 3, 8, 4)}),
        )
    ]
    empty = np.zeros(0, np.float32)
    older = {"r": empty, "s": scales[0]}
    return [
        *found,
        *at_versions("Resize", "y = Resize(x, r, s)", x, since=11, **older),
        case("y = Resize(x, r, e, t)", x, 13, r=empty, e=empty, t=ints(2, 3, 9, 4)),
        case("y = Resize(x, r, late_s)", x, 13, r=empty, late_s=scales[2]),
        case("y = Resize(x, , , late_t)", x, 18, late_t=ints(2, 3, 4, 9)),
        case("y = Resize<axes=[3, 2]>(x, , , t)", x, 18, t=ints(4, 9)),
        case("y = Resize(x, s)", x, 10, s=scales[2]),
        case("y = Resize(x, s)", x, 10, s=scales[1]),
        case('y = Resize<mode="linear">(x, s)', plane, 10, s=scales[2]),
        case("y = Upsample<scales=[1.0, 1.0, 2.0, 3.0]>(x)", x, 7),
        case("y = Upsample(x, s)", x, 9, s=scales[0]),
        case('y = Upsample<mode="linear">(x, s)', plane, 9, s=scales[0]),
    ]


def more_norms() -> list[Case]:
    """Normalisation by groups, mean square, length and neighbouring channels."""
    text = "y = GroupNormalization<num_groups=2, epsilon=0.01>(x, s, b)"
    rms = "y = RMSNormalization"
    return [
        case(text, opset=21, s=draw(4), b=draw(4) + 1),
        case(text, draw(2, 4, 3), 22, s=draw(4), b=draw(4) + 1),
        case(text, draw(3, 6, 2, 5), 18, s=draw(2), b=draw(2) + 1),
        *(case(f"{rms}<axis={a}>(x, s)", opset=23, s=draw(*IMAGES.shape[a:])) for a in (1, -2)),
        case(f"{rms}<epsilon=0.1>(x, s)", ROWS, 23, s=draw(1)),
        *(
            one
            for p in (1, 2)
            for axis in (-1, 1)
            for one in at_versions("LpNormalization", f"y = LpNormalization<axis={axis}, p={p}>(x)")
        ),
        *(
            one
            for size in (1, 3, 5)
            for one in at_versions(
                "LRN", f"y = LRN<size={size}, alpha=0.5, beta=0.6, bias=0.7>(x)", draw(2, 5, 3, 4)
            )
        ),
        *(
            one
            for p in (1, 2, 3)
            for one in at_versions("GlobalLpPool", f"y = GlobalLpPool<p={p}>(x)", IMAGES, until=21)
        ),
        *at_versions("Softmax", "y = Softmax(x)", IMAGES),
        *at_versions("Softmax", "y = Softmax<axis=1>(x)", IMAGES),
        *at_versions("LogSoftmax", "y = LogSoftmax(x)", IMAGES),
        *at_versions("LogSoftmax", "y = LogSoftmax<axis=2>(x)", IMAGES),
    ]


def counted() -> list[Case]:
    """Operators that count along axes, choose places or move blocks of positions."""
    sums = [
        f"y = CumSum<exclusive={one}, reverse={other}>(x, a)" for one in (0, 1) for other in (0, 1)
    ]
    hot = "i = Cast<to=7>(x) y = OneHot"
    scatter = "ScatterElements<axis=1>(x, i, u)"
    updates = {"i": np.array([[0, 3], [1, -1], [4, 2]]), "u": draw(3, 2)}
    rows, columns = np.array([[0], [2]]), np.array([[0, 1], [2, -1]])
    square = draw(2, 4, 4)
    return [
        *(one for text in sums for one in at_versions("CumSum", text, since=11, a=np.array(1))),
        case("y = CumSum(x, a)", ROWS, a=np.array(-1)),
        case("y = CumSum(x, late_a)", ROWS, late_a=np.array(0)),
        case("i = Cast<to=7>(x) y = CumSum(i, a)", 5 * ROWS, a=np.array(0)),
        *(
            one
            for form in ("", "<axis=0>", "<axis=1>")
            for one in at_versions(
                "OneHot",
                f"{hot}{form}(i, d, v)",
                np.array([[0.0, -1.0, 2.0, 9.0]], np.float32),
                since=9,
                d=np.array(4),
                v=np.array([0.5, 2.0], np.float32),
            )
        ),
        *at_versions("Size", "y = Size(x)", IMAGES),
        *at_versions("EyeLike", "e = EyeLike<k=1>(x) y = Add(e, x)", since=9),
        *(
            one
            for upper in (0, 1)
            for one in at_versions("Trilu", f"y = Trilu<upper={upper}>(x)", square, since=14)
        ),
        case("y = Trilu(x, k)", square, k=np.array(-1)),
        case("y = Trilu<upper=0>(x, late_k)", square, late_k=np.array(1)),
        *at_versions("ScatterElements", f"y = {scatter}", since=11, **updates),
        case(f"y = {scatter.replace('Elements', '')}", ROWS, 9, **updates),
        *(
            case(f'y = ScatterElements<axis=1, reduction="{one}">(x, i, u)', ROWS, 18, **updates)
            for one in ("add", "mul", "min", "max")
        ),
        *at_versions("GatherND", "y = GatherND(x, i)", since=11, i=columns),
        case("y = GatherND(x, i)", ROWS, i=rows),
        case("y = GatherND<batch_dims=1>(x, i)", ROWS, i=np.array([[1], [0], [4]])),
        *at_versions("SpaceToDepth", "y = SpaceToDepth<blocksize=2>(x)", draw(2, 3, 4, 6)),
        *at_versions("DepthToSpace", "y = DepthToSpace<blocksize=2>(x)", draw(2, 8, 3, 2)),
        case('y = DepthToSpace<blocksize=2, mode="CRD">(x)', draw(2, 8, 3, 2)),
        case('y = Einsum<equation="nchw,cd->ndhw">(x, w)', w=draw(4, 3)),
        case('y = Einsum<equation="...ij,...kj->...ik">(x, x)', draw(2, 3, 4)),
        *at_versions("NonZero", "r = Relu(x) y = NonZero(r)", since=9),
        *at_versions("TopK", "v, i = TopK<axis=1>(x, k) y = Neg(v)", since=10, k=ints(2)),
    ]


def more_elementwise() -> list[Case]:
    """Activations and functions of a single number that few networks use."""
    small, large = np.tanh(ROWS) * np.float32(0.9), np.abs(ROWS) + 1.5
    found = [
        *(one for o in ("Sinh", "Cosh", "Asinh") for one in at_versions(o, f"y = {o}(x)", since=9)),
        *(one for o in ("Atan",) for one in at_versions(o, f"y = {o}(x)")),
        *(one for o in ("Asin", "Acos") for one in at_versions(o, f"y = {o}(x)", small)),
        *at_versions("Atanh", "y = Atanh(x)", small, since=9),
        *at_versions("Acosh", "y = Acosh(x)", large, since=9),
    ]
    odd = np.array([[np.nan, np.inf, -np.inf, 0.0, 1.5]], np.float32)
    return [
        *found,
        *at_versions("ThresholdedRelu", "y = ThresholdedRelu<alpha=0.3>(x)", since=10),
        *at_versions("Celu", "y = Celu<alpha=1.5>(x)", since=12),
        *at_versions("Shrink", "y = Shrink<lambd=0.4, bias=0.1>(x)", IMAGES, since=9),
        *at_versions("IsNaN", "y = IsNaN(x)", odd, since=9),
        *at_versions("IsInf", "y = IsInf(x)", odd, since=10),
        *at_versions("Mean", "y = Mean(x, w)", since=8, w=draw(5)),
        *at_versions("Mean", "y = Mean(x)"),
    ]


def quantisations() -> list[Case]:
    """Quantisation and back, per tensor, axis and block, and products of integers."""
    both = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)"
    axis = "q = QuantizeLinear<axis=1>(x, s, z) y = DequantizeLinear<axis=1>(q, s, z)"
    scale, scales = real(0.37), np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    found = [
        one
        for kind, since in ((np.uint8, 10), (np.int8, 10), (np.uint16, 21), (np.int16, 21))
        for one in at_versions(
            "QuantizeLinear", both, 50 * ROWS, since=since, s=scale, z=np.array(3, kind)
        )
    ]
    zeros = np.array([0, 3, 100, 7], np.uint8)
    found += at_versions("QuantizeLinear", axis, IMAGES, since=13, s=scales, z=zeros)
    blocks = {"s": np.abs(draw(3, 2)) + 0.1, "z": np.arange(6, dtype=np.int8).reshape(3, 2)}
    blocked = axis.replace("axis=1", "axis=1, block_size=3")
    dynamic = "q, s, z = DynamicQuantizeLinear(x)"
    whole, weight = np.arange(-10, 10, dtype=np.int8).reshape(5, 4), draw(6, 4, 3, 2) * 50
    kernel = {"w": weight.astype(np.int8)}
    return [
        *found,
        case(blocked, draw(3, 5), 21, **blocks),
        case("q = QuantizeLinear(x, s) y = DequantizeLinear(q, s)", ROWS, s=scale),
        case(both.replace(" s,", " late_s,"), ROWS, late_s=scale, z=np.array(3, np.int8)),
        case("q = QuantizeLinear(x, s, z) y = Cast<to=1>(q)", ROWS, s=scale, z=np.array(9, "u1")),
        case(f"{dynamic} y = DequantizeLinear(q, s, z)", IMAGES),
        case(f"{dynamic} y = DequantizeLinear(q, s, z)", 0 * ROWS),
        case(f"{dynamic} y = DequantizeLinear(q, s, z)", np.abs(ROWS)),
        case(f"{dynamic} i = MatMulInteger(q, w, z) y = Cast<to=1>(i)", ROWS, w=whole),
        case(
            f"{dynamic} i = MatMulInteger(q, w, z, v) y = Cast<to=1>(i)",
            *(ROWS,),
            w=whole,
            v=np.array([1, -2, 3, 0], np.int8),
        ),
        case(f"{dynamic} i = ConvInteger(q, w, z) y = Cast<to=1>(i)", **kernel),
        case(
            f"{dynamic} i = ConvInteger<pads=[1, 0, 1, 1]>(q, w, z, v) y = Cast<to=1>(i)",
            **kernel,
            v=np.array(4, np.int8),
        ),
        case(f"{dynamic} i = ConvInteger(q, w) y = Cast<to=1>(i)", **kernel),
    ]


CASES = [
    *quantisations(),
    *(*resizes(), *more_norms(), *counted(), *more_elementwise()),
    *(*convolutions(), *transposed_convolutions(), *poolings(), *normalisations(), *products()),
    *(*attentions(), *shapings(), *reductions(), *elementwise(), *generators()),
]


@pytest.mark.parametrize("one", CASES, ids=str)
def test_the_twin_computes_what_onnxruntime_computes(one: Case) -> None:
    """Values, shape and type agree with onnxruntime, normalised or not."""
    check(one)


def test_every_handled_operator_has_a_case() -> None:
    """No operator that the converters register goes without a comparison."""
    handled = {*SAME, "AveragePool", "BatchNormalization", "CastLike", "Clip", "Conv", "Expand"}
    handled |= {"Attention", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "LayerNormalization"}
    handled |= {"Acosh", "Asinh", "Atanh", "ConvInteger", "Cosh", "CumSum", "DepthToSpace"}
    handled |= {"DequantizeLinear", "DynamicQuantizeLinear", "GatherElements", "GatherND"}
    handled |= {"GlobalLpPool", "GroupNormalization", "LRN", "LpNormalization", "MatMulInteger"}
    handled |= {"NonZero", "OneHot", "QuantizeLinear", "RMSNormalization", "Resize", "Round"}
    handled |= {"Scatter", "ScatterElements", "Shrink", "Sinh", "Size", "SpaceToDepth"}
    handled |= {"ThresholdedRelu", "Trilu", "Upsample"}
    handled |= {"MatMul", "MaxPool", "Mish", "Pad", "Reshape", "Slice", "Split", "Swish"}

    compared = {node.op_type for one in CASES for node in model_of(one).graph.node}

    assert handled <= compared


FLAT = {"ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "ConstantOfShape", "Floor", "Range"}
FLAT |= {
    "ConvInteger",
    "DequantizeLinear",
    "MatMulInteger",
    "QuantizeLinear",
    "IsInf",
    "IsNaN",
    "NonZero",
    "OneHot",
    "Round",
    "Shape",
    "Sign",
    "Size",
}
STEP = np.float32(1e-3)  # small beside the distance to a kink, large beside float32's resolution


def smooth() -> list[Case]:
    """The cases from float32 to float32 without a step, each at its newest opset."""
    found = {(one.text, one.x.shape, *one.constants): one for one in CASES if one.x.size}
    return [one for one in found.values() if FLAT.isdisjoint(_operators(one)) and _is_float(one)]


def _operators(one: Case) -> list[str]:
    header = f'<ir_version: 9, opset_import: ["": {one.opset}]> g (float x) => (float y)'
    return [node.op_type for node in parser.parse_model(f"{header} {{ {one.text} }}").graph.node]


def _is_float(one: Case) -> bool:
    comparisons = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
    return one.x.dtype == np.float32 and comparisons.isdisjoint(_operators(one))


@pytest.mark.parametrize("one", smooth(), ids=str)
def test_the_gradient_is_the_slope_of_onnxruntime(one: Case) -> None:
    """Gradients flow: along a direction the twin's is the change of onnxruntime's outputs."""
    model, x = model_of(one), torch.from_numpy(one.x).requires_grad_()
    outputs = build_module(model)(x)
    weights = np.abs(draw(*outputs.shape)).astype(np.float64)
    direction = draw(*one.x.shape[::-1]).T * STEP

    (outputs.nan_to_num(neginf=0) * torch.from_numpy(weights)).sum().backward()

    assert x.grad is not None
    ends = [
        by_onnxruntime(model, one.x + sign * direction) for sign in (np.float32(1), np.float32(-1))
    ]
    change = [
        float((np.nan_to_num(end.astype(np.float64), neginf=0) * weights).sum()) for end in ends
    ]
    found = 2 * float((x.grad.double() * torch.from_numpy(direction)).sum())
    assert found == pytest.approx(change[0] - change[1], rel=0.05, abs=3e-4)


def test_what_has_no_length_stays_zero() -> None:
    """Normalising a vector of zeros gives zeros and a finite gradient."""
    one = case("y = LpNormalization<p=2>(x)", np.zeros((2, 3), np.float32))
    x = torch.from_numpy(one.x).requires_grad_()

    found = build_module(model_of(one))(x)
    found.sum().backward()

    np.testing.assert_array_equal(by_onnxruntime(model_of(one), one.x), found.detach().numpy())
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize("name", ["ReduceL2", "ReduceL1", "ReduceMax", "ReduceSumSquare"])
def test_norms_of_nothing_have_a_gradient(name: str) -> None:
    """At zero, where a root has no slope, the gradient is finite, so that a search goes on."""
    x = torch.zeros(2, 3, requires_grad=True)

    build_module(model_of(case(f"y = {name}(x, a)", ROWS, 18, a=ints(1))))(x).sum().backward()

    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def weights_of_a_file() -> list[tuple[Case, int]]:
    """Cases whose constants feed a layer, and how many numbers are then trainable."""
    four = {"s": draw(4), "b": draw(4), "m": draw(4), "v": np.abs(draw(4)) + 0.5}
    return [
        (case("y = Conv(x, w, b)", w=draw(6, 4, 3, 3), b=draw(6)), 6 * 4 * 9 + 6),
        (case("y = Conv<pads=[0, 1, 1, 0]>(x, w)", w=draw(6, 4, 3, 3)), 6 * 4 * 9),
        (case("y = Conv(x, w, late_b)", w=draw(6, 4, 3, 3), late_b=draw(6)), 6 * 4 * 9),
        (case("y = MatMul(x, w)", ROWS, w=draw(5, 4)), 20),
        (case("y = MatMul(w, x)", draw(5, 4), w=draw(3, 5)), 15),
        (case("y = Gemm(x, b, c)", ROWS, b=draw(5, 2), c=draw(2)), 12),
        (case("y = Gemm(x, b, c)", ROWS, b=draw(5, 2), c=draw(3, 1)), 13),
        (case("y = BatchNormalization(x, s, b, m, v)", **four), 8),
        (case("y = LayerNormalization(x, s, b)", s=draw(9), b=draw(9)), 18),
        (case("y = LayerNormalization<axis=1>(x, s, b)", s=draw(9), b=draw(7, 9)), 72),
        (case("y = Add(x, w)", ROWS, w=draw(5)), 0),
        (case("h = MatMul(x, w) y = Mul(h, s)", ROWS, w=draw(5, 4), s=draw(4)), 24),
        (case("h = MatMul(x, w) y = Div(h, s)", ROWS, w=draw(5, 4), s=draw(4)), 20),
    ]


@pytest.mark.parametrize(("one", "trainable"), weights_of_a_file(), ids=str)
def test_weights_of_a_file_are_trainable(one: Case, trainable: int) -> None:
    """What a layer multiplies and adds is a Parameter with a gradient; the rest is constant."""
    module = build_module(model_of(one))

    module(torch.from_numpy(one.x).requires_grad_()).square().sum().backward()

    assert sum(weight.numel() for weight in module.parameters()) == trainable
    assert all(weight.grad is not None for weight in module.parameters())


def refusals() -> list[tuple[str, Case]]:
    """Nodes that torch cannot follow, with a word of the reason."""
    four = {name: draw(4) for name in "sbmv"}
    spots = {name: draw(4, 7, 9) for name in "sbmv"}
    transposed = {"w": draw(4, 3, 3, 3)}
    norm = "y = BatchNormalization"
    pool = "AveragePool<kernel_shape=[3, 3], strides=[2, 2]"
    symmetric = 'y = Resize<coordinate_transformation_mode="half_pixel_symmetric">'
    kept = 'y = Resize<keep_aspect_ratio_policy="not_larger">'
    dynamic = "q, s, z = DynamicQuantizeLinear(x)"
    return [
        ("weight of shape", case("y = Conv<kernel_shape=[2, 2]>(x, w)", w=draw(3, 4, 3, 3))),
        (
            "weight of shape",
            case("y = Conv(x, w)", draw(2, 3, 2, 2, 2, 2), w=draw(2, 3, 1, 1, 1, 1)),
        ),
        ("stated shape", case("y = ConvTranspose<output_shape=[9, 11]>(x, w)", **transposed)),
        ("other values", case("y = ConvTranspose(x, late_w)", late_w=draw(4, 3, 3, 3))),
        ("non symmetrical", case("y = ConvTranspose<pads=[0, 1, 1, 0]>(x, w)", **transposed)),
        ("SAME_UPPER", case('y = ConvTranspose<auto_pad="SAME_UPPER">(x, w)', **transposed)),
        ("indices", case("m, i = MaxPool<kernel_shape=[2, 2]>(x) f = Cast<to=1>(i) y = Add(m, f)")),
        ("indices", case("y = MaxPool<kernel_shape=[2, 2], storage_order=1>(x)")),
        ("rounds up", case(f"y = {pool}, pads=[2, 2, 2, 2], ceil_mode=1>(x)")),
        ("rounds up", case(f"y = {pool}, pads=[0, 1, 1, 0], ceil_mode=1>(x)")),
        ("rounds up", case(f'y = {pool}, auto_pad="SAME_UPPER", ceil_mode=1>(x)')),
        ("dilated", case(f"y = {pool}, dilations=[2, 2]>(x)", opset=19)),
        ("over 4 axes", case("y = MaxPool<kernel_shape=[1, 1, 1, 1]>(x)", draw(1, 1, 2, 2, 2, 2))),
        ("`kernel_shape`", case("y = MaxPool(x)")),
        ("statistics", case(f"{norm}<training_mode=1>(x, s, b, m, v)", **four)),
        ("per position", case(f"{norm}<spatial=0>(x, s, b, m, v)", opset=7, **spots)),
        ("rank 6", case(f"{norm}(x, s, b, m, v)", draw(2, 4, 1, 2, 1, 2), **four)),
        ("statistics", case("y, m = LayerNormalization(x, s) z = Add(m, m)", s=draw(9))),
        ("mode `mirror`", case('y = Pad<mode="mirror">(x, p)', p=ints(*[0] * 8))),
        ("soft cap", case("y = Attention<softcap=2.0>(x, x, x)", QUERIES, 23)),
        (
            "side by side",
            case("y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x)", draw(2, 5, 8), 23),
        ),
        ("cache", case("y, k, v = Attention(x, x, x, , x, x)", QUERIES, 23)),
        ("alpha parameter", case("y = Selu<alpha=1.2>(x)")),
        (
            "reduction",
            case('y = ScatterND<reduction="add">(x, i, x)', ROWS, i=ints(0, 1, 2)[:, None]),
        ),
        ("no converter", case("y = Hardmax(x)")),
        ("mode `cubic`", case('y = Resize<mode="cubic">(x, , s)', s=np.ones(4, np.float32))),
        (
            "`half_pixel_symmetric`",
            case(f"{symmetric}(x, , s)", opset=19, s=np.ones(4, np.float32)),
        ),
        ("smooths", case("y = Resize<antialias=1>(x, , s)", opset=18, s=np.ones(4, np.float32))),
        ("aspect ratio", case(f"{kept}(x, , , s)", opset=18, s=ints(2, 4, 3, 3))),
        ("without scales", case("y = Resize(x)", opset=13)),
        ("FLOAT8", case("y = QuantizeLinear<output_dtype=17>(x, s)", opset=23, s=real(1))),
        ("all computed", case(f"{dynamic} y = MatMulInteger(q, q)", draw(3, 3))),
        ("rank 3", case(f"{dynamic} y = MatMulInteger(q, w)", ROWS, w=np.ones((2, 5, 3), "i1"))),
        ("no converter", case("y = Det(x)", draw(2, 3, 3))),
    ]


@pytest.mark.parametrize(("reason", "one"), refusals(), ids=str)
def test_what_torch_cannot_say_is_refused_by_name(reason: str, one: Case) -> None:
    """A refusal names the operator, the opset and the reason in one line, and never computes."""
    operator = next(name for name in reversed(_operators(one)) if name not in ("Add", "Cast"))

    with pytest.raises(
        ConversionError, match=f"`{operator}` at opset {one.opset} .*{reason}"
    ) as told:
        build_module(model_of(one))

    assert "\n" not in str(told.value)


@pytest.mark.parametrize("module", [Reshape(None, copies=True), Expand(None)], ids=repr)
def test_shapes_without_a_target_are_refused(module: nn.Module) -> None:
    """A module that was promised its target at run time says so if none comes."""
    with pytest.raises(ValueError, match="without a target"):
        module(torch.ones(2))


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize(
    "text",
    [
        "y = Flatten(x)",
        'y = Conv<auto_pad="SAME_LOWER", strides=[2, 2]>(x, w)',
        "y = AveragePool<kernel_shape=[3, 3], pads=[2, 2, 2, 2]>(x)",
        "y = MaxPool<kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1], ceil_mode=1>(x)",
        "y = Reshape(x, t)",
        "y = GlobalMaxPool(x)",
    ],
)
def test_samples_do_not_see_each_other(text: str, batch: int) -> None:
    """The output for a batch is the outputs for its samples one by one."""
    module = build_module(model_of(case(text, w=draw(3, 4, 3, 3), t=ints(0, -1, 3))))
    images = torch.from_numpy(draw(batch, 4, 7, 9))

    together = module(images)

    alone = torch.cat([module(images[index : index + 1]) for index in range(batch)])
    torch.testing.assert_close(together, alone)


def test_registration_reaches_every_version_that_inspection_lets_in() -> None:
    """From the oldest to the newest accepted opset no operator of the alias list is missing."""
    register()

    first = {operator: versions(operator)[0] for operator in SAME}

    assert {operator for operator, version in first.items() if version > NEWEST_OPSET} == set()
    assert OLDEST_OPSET < NEWEST_OPSET
