"""Laws of the converters: each operator computes in torch what onnxruntime computes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx2torch.node_converters import registry
from torch import fx, nn

from stages.converters import register
from stages.converters.aliases import SAME
from stages.converters.registration import versions
from stages.errors import ConversionError
from stages.twin.convert import build_module

Array = npt.NDArray[Any]


def converted(
    operator: str,
    x: Array,
    constants: Sequence[Array | None] = (),
    *,
    opset: int = 17,
    outputs: int = 1,
    computed: Sequence[Array] = (),
    **attributes: object,
) -> tuple[fx.GraphModule, list[Array], list[Array]]:
    """Twin, its output and onnxruntime's for one node on x.

    `constants` are further inputs from the file, None for one left out; `computed` are inputs after
    those that the twin only sees when it runs, because they are added to a zero made of x.
    """
    names = ["" if one is None else f"c{index}" for index, one in enumerate(constants)]
    tensors = [
        numpy_helper.from_array(one, f"c{i}") for i, one in enumerate(constants) if one is not None
    ]
    nodes = []
    for index, one in enumerate(computed):
        tensors.append(numpy_helper.from_array(one, f"k{index}"))
        kind = helper.np_dtype_to_tensor_dtype(one.dtype)
        nodes += _hide(index, kind)
        names.append(f"h{index}")
    outs = [f"y{index}" for index in range(outputs)]
    nodes.append(helper.make_node(operator, ["x", *names], outs, name="node", **attributes))
    last = "y0"
    if outputs > 1:
        nodes.append(
            helper.make_node("Concat", outs[::-1], ["all"], axis=attributes.get("axis", 0))
        )
        last = "all"
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    shape = ("batch", *x.shape[1:])
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_empty_tensor_value_info(last)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = np.asarray(session.run(None, {"x": x})[0])
    module = build_module(model)
    found = module(torch.from_numpy(x)).detach().numpy()
    return module, [found], [expected]


def _hide(index: int, kind: int) -> list[Any]:
    """Nodes that add zero, computed from x, to the constant of that index."""
    return [
        helper.make_node("ReduceSum", ["x"], [f"s{index}"], keepdims=0),
        helper.make_node("Cast", [f"s{index}"], [f"i{index}"], to=kind),
        helper.make_node("Sub", [f"i{index}", f"i{index}"], [f"z{index}"]),
        helper.make_node("Add", [f"k{index}", f"z{index}"], [f"h{index}"]),
    ]


def check(operator: str, x: Array, *args: Any, **kwargs: Any) -> fx.GraphModule:
    """The twin of one node, after comparing its output with onnxruntime's."""
    module, found, expected = converted(operator, x, *args, **kwargs)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    return module


def draw(*shape: int) -> Array:
    """Standard normal float32 numbers."""
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def ints(*numbers: int) -> Array:
    """A vector of int64."""
    return np.array(numbers, np.int64)


IMAGES = draw(2, 4, 7, 9)
PADS = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]


@pytest.mark.parametrize(("auto", "stride", "groups"), list(product(PADS, (1, 2), (1, 2))))
def test_conv(auto: str, stride: int, groups: int) -> None:
    """A convolution by weights of the file is a convolution module, whatever its padding."""
    weight, bias = draw(6, 4 // groups, 3, 2), draw(6)

    module = check(
        *("Conv", IMAGES, [weight, bias]),
        auto_pad=auto,
        strides=[stride, stride],
        group=groups,
    )

    assert [one for one in module.modules() if isinstance(one, nn.Conv2d)]


@pytest.mark.parametrize("opset", [11, 22])
def test_conv_with_uneven_pads_and_dilation(opset: int) -> None:
    """Padding that differs per side stays a single convolution module."""
    module = check(
        *("Conv", IMAGES, [draw(3, 4, 3, 3)]),
        opset=opset,
        pads=[0, 1, 2, 3],
        dilations=[2, 1],
    )

    assert len([one for one in module.modules() if isinstance(one, nn.Conv2d)]) == 1


def test_conv_by_a_computed_weight() -> None:
    """A weight that is computed in the graph is used as it comes."""
    check("Conv", IMAGES, computed=[draw(3, 4, 3, 3)], auto_pad="SAME_UPPER")


@pytest.mark.parametrize(("auto", "operator"), list(product(PADS, ("MaxPool", "AveragePool"))))
def test_pooling(auto: str, operator: str) -> None:
    """Pooling of negative images never sees the padding."""
    check(operator, -np.abs(IMAGES), kernel_shape=[3, 2], strides=[2, 2], auto_pad=auto)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("MaxPool", {"pads": [0, 1, 1, 0]}),
        ("MaxPool", {"pads": [1, 1, 1, 1], "ceil_mode": 1}),
        ("MaxPool", {"dilations": [2, 1]}),
        ("AveragePool", {"pads": [0, 1, 1, 0]}),
        ("AveragePool", {"pads": [0, 1, 1, 0], "count_include_pad": 1}),
        ("AveragePool", {"pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ],
)
def test_pooling_with_pads(operator: str, attributes: dict[str, object]) -> None:
    """Given pads count as ONNX says, also where they are uneven."""
    check(operator, IMAGES, opset=22, kernel_shape=[3, 3], strides=[2, 2], **attributes)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("opset", [11, 22])
def test_global_pooling(operator: str, opset: int) -> None:
    """Global pooling reduces the spatial axes and no other."""
    check(operator, IMAGES, opset=opset)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (2, 4, 3, 3), (2, 4, 2, 2, 2)])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    """BatchNormalization by the file's parameters is a BatchNorm module at every rank."""
    parameters = [draw(4), draw(4), draw(4), np.abs(draw(4)) + 0.5]

    module = check("BatchNormalization", draw(*shape), parameters, epsilon=0.01)

    names = [type(one).__name__ for one in module.children()]
    assert [name for name in names if name.startswith("BatchNorm")]


def test_batch_norm_by_computed_parameters() -> None:
    """Computed parameters are used as they come."""
    check(
        "BatchNormalization", IMAGES, [draw(4), draw(4), draw(4)], computed=[np.ones(4, np.float32)]
    )


@pytest.mark.parametrize(
    ("axis", "scale", "bias"),
    [(-1, (9,), (9,)), (1, (4, 7, 9), None), (2, (9,), (7, 9)), (-2, (1, 9), None)],
)
def test_layer_norm(axis: int, scale: tuple[int, ...], bias: tuple[int, ...] | None) -> None:
    """LayerNormalization by any axis, with or without bias, broadcast or not."""
    constants = [draw(*scale)] + ([] if bias is None else [draw(*bias)])

    check("LayerNormalization", IMAGES, constants, axis=axis, epsilon=0.1)


def test_layer_norm_is_a_module() -> None:
    """Where scale and bias span the axes it is an `nn.LayerNorm`."""
    module = check("LayerNormalization", IMAGES, [draw(9), draw(9)])

    assert [one for one in module.children() if isinstance(one, nn.LayerNorm)]


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4)])
def test_matmul(shape: tuple[int, ...]) -> None:
    """A product with a matrix of the file is an `nn.Linear`."""
    module = check("MatMul", draw(*shape), [draw(4, 6)])

    assert [one for one in module.children() if isinstance(one, nn.Linear)]


def test_matmul_of_batches() -> None:
    """A product with more than a matrix stays a product."""
    check("MatMul", draw(2, 3, 4), [draw(2, 4, 5)])


REDUCED = draw(2, 3, 4) + 5.0


@pytest.mark.parametrize(
    "operator",
    [
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
        *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
    ],
)
def test_reduce(operator: str) -> None:
    """Axes mean the same as attribute, as constant and computed; without axes all are reduced."""
    if operator != "ReduceSum":
        check(operator, REDUCED, opset=13, axes=[1, -1], keepdims=0)
    check(operator, REDUCED, [ints(1, -1)], opset=18, keepdims=1)
    check(operator, REDUCED, opset=18, computed=[ints(2)], keepdims=0)
    check(operator, REDUCED, opset=18, keepdims=1)
    check(operator, REDUCED, opset=20 if operator in ("ReduceMax", "ReduceMin") else 18, keepdims=0)


def test_reduce_declared_a_no_op() -> None:
    """Without axes nothing is reduced if the node says so."""
    check("ReduceSum", REDUCED, opset=18, noop_with_empty_axes=1)


def test_reshape() -> None:
    """Zero copies a size unless zeros are allowed; −1 takes the rest; computed targets work."""
    check("Reshape", REDUCED, [ints(0, -1)])
    check("Reshape", REDUCED, [ints(2, 12)], opset=19, allowzero=1)
    check("Reshape", REDUCED, computed=[ints(4, -1)])


def test_expand() -> None:
    """A target broadcasts both ways, constant or computed."""
    check("Expand", draw(2, 1, 3), [ints(4, 1)])
    check("Expand", draw(2, 3), [ints(5, 1, 3)])
    check("Expand", draw(2, 1), computed=[ints(1, 3)])
    check("Expand", draw(2, 3, 4), [ints(1)])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(mode: str) -> None:
    """Both forms of pads, and the axes of newer versions."""
    check("Pad", IMAGES, [ints(0, 0, 1, 2, 0, 0, 3, 0)], mode=mode)
    check("Pad", IMAGES, [ints(1, 2), None, ints(-1)], opset=18, mode=mode)
    with (
        pytest.raises(ValueError, match="batch or channels")
        if mode != "constant"
        else nullcontext()
    ):
        check("Pad", IMAGES, [ints(0, 1, 0, 0, 0, 0, 0, 0)], mode=mode)
    check("Pad", IMAGES, opset=8, pads=[0, 0, 1, 2, 0, 0, 3, 0], mode=mode)


def test_pad_by_a_value() -> None:
    """The fill value may be constant or computed, and any axis may be padded by it."""
    check("Pad", IMAGES, [ints(1, 0, 0, 0, 0, 2, 0, 0), np.array(2.5, np.float32)])
    check("Pad", IMAGES, computed=[ints(0, 0, 1, 0, 0, 0, 0, -1), np.array(1.5, np.float32)])


def test_slice() -> None:
    """Negative bounds, axes and steps and bounds beyond the axis mean what they mean in numpy."""
    far = 2**63 - 1
    check("Slice", IMAGES, [ints(1, -3), ints(far, -1), ints(1, -1), ints(2, 1)])
    check("Slice", IMAGES, [ints(-1), ints(-far), ints(2), ints(-2)])
    check("Slice", IMAGES, [ints(5), ints(2), ints(3)])
    check("Slice", IMAGES, opset=9, starts=[0, 1], ends=[1, 3])
    check("Slice", IMAGES, computed=[ints(0, 1), ints(far, 2)])


def test_split() -> None:
    """Parts by lengths of every form, and equal parts of which the last may be shorter."""
    check("Split", draw(2, 7), opset=11, outputs=2, axis=1, split=[3, 4])
    check("Split", draw(2, 7), [ints(2, 5)], opset=13, outputs=2, axis=1)
    check("Split", draw(2, 6), opset=13, outputs=3, axis=1)
    check("Split", draw(2, 7), opset=18, outputs=3, axis=1, num_outputs=3)
    check("Split", draw(2, 7), opset=18, outputs=2, axis=1, computed=[ints(1, 6)])


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, None), (0.0, 6.0), (None, 0.5), (-0.5, 0.25), (None, None)]
)
def test_clip(low: float | None, high: float | None) -> None:
    """Bounds may be left out."""
    bounds = [None if one is None else np.array(one, np.float32) for one in (low, high)]

    check("Clip", 4 * IMAGES, bounds)


def test_clip_by_other_forms() -> None:
    """Bounds as attributes and computed bounds mean the same."""
    check("Clip", IMAGES, opset=10, min=-0.5, max=0.5)
    check("Clip", IMAGES, computed=[np.array(-0.5, np.float32), np.array(0.5, np.float32)])


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu(form: str) -> None:
    """Gelu is exact or approximated by tanh."""
    check("Gelu", IMAGES, opset=20, approximate=form)


def test_mish() -> None:
    """Mish is torch's own."""
    check("Mish", IMAGES, opset=18)


def test_cast_like() -> None:
    """The type is taken from the second tensor."""
    check("CastLike", 10 * IMAGES, [ints(1)])


@pytest.mark.parametrize("causal", [0, 1])
def test_attention(causal: int) -> None:
    """Attention with heads apart, masked or causal, at a given or the usual scale."""
    query, key = draw(2, 4, 5, 8), draw(2, 2, 5, 8)

    check("Attention", query, [key, key + 1], opset=23, is_causal=causal)
    if not causal:
        check("Attention", query, [key, key, draw(5, 5)], opset=23, scale=0.5)


@pytest.mark.parametrize("opset", [11, 16])
def test_roi_align(opset: int) -> None:
    """One of the operators of detectors, for which torchvision is loaded."""
    regions = np.array([[0, 0, 3, 3], [1, 1, 5, 4]], np.float32)
    size = {"output_height": 2, "output_width": 2, "sampling_ratio": 2}

    check("RoiAlign", draw(1, 2, 6, 6), [regions, ints(0, 0)], opset=opset, **size)


@pytest.mark.parametrize("opset", [10, 11])
def test_non_max_suppression(opset: int) -> None:
    """The other one; of two boxes that overlap, one is kept."""
    boxes = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7]]], np.float32)
    limits = [ints(3), np.array([0.5], np.float32), np.array([0.1], np.float32)]

    check("NonMaxSuppression", boxes, [scores, *limits], opset=opset)


def test_unfaithful_pooling_is_refused() -> None:
    """What torch cannot say is refused, not approximated."""
    with pytest.raises(ConversionError, match="`AveragePool`"):
        check("AveragePool", IMAGES, opset=19, kernel_shape=[2, 2], dilations=[2, 2])


def test_registering_again_changes_nothing() -> None:
    """Registration is idempotent."""
    register()
    before = dict(registry._CONVERTER_REGISTRY)

    register()

    assert before == registry._CONVERTER_REGISTRY


@pytest.mark.parametrize("operator", SAME)
def test_aliases_cover_every_version(operator: str) -> None:
    """An operator on the list converts at every version onnx knows."""
    register()

    known = {(one.operation_type, one.version) for one in registry._CONVERTER_REGISTRY}
    assert {(operator, version) for version in versions(operator)} <= known


def test_versions_are_those_of_the_standard() -> None:
    """Versions come in ascending order, and an unknown operator has none."""
    assert versions("Reshape")[:3] == (1, 5, 13)
    assert versions("NoSuchOperator") == ()
    assert helper.np_dtype_to_tensor_dtype(np.dtype(np.float32)) == TensorProto.FLOAT
