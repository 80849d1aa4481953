"""Every operator the converters handle computes in torch what onnxruntime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stages.converters import register
from stages.converters.aliases import SAME
from stages.converters.registration import versions
from stages.passes import normalise
from stages.passes.known_opset import NEWEST_OPSET, OLDEST_OPSET
from stages.twin.convert import build_module
from tests.support.operators import CASES
from tests.support.operators.cases import (
    Case,
    by_onnxruntime,
    by_twin,
    case,
    draw,
    ints,
    model_of,
)

TOLERANCE = 1e-5  # of float32 sums over less than a thousand elements
HALF = 1e-3  # what a number of float16 is rounded by, at most


def check(one: Case) -> None:
    """Compares the twins of the graph as it is and normalised with onnxruntime."""
    model = model_of(one)
    expected = by_onnxruntime(model, one.x)
    tolerance = HALF if expected.dtype == np.float16 else TOLERANCE
    twins = (model, one.x), (normalise(model, cut=False), one.x.astype(_normal(one.x.dtype)))
    for (twin, x), dtype in zip(twins, (expected.dtype, _normal(expected.dtype)), strict=True):
        found = by_twin(twin, x)
        assert (found.shape, found.dtype) == (expected.shape, dtype)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def _normal(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that the normalised model has for one of the file."""
    return np.dtype(np.float32) if np.issubdtype(dtype, np.floating) else dtype


@pytest.mark.parametrize("one", CASES, ids=str)
def test_the_twin_computes_what_onnxruntime_computes(one: Case) -> None:
    """Values, shape and type agree with onnxruntime, normalised or not."""
    check(one)


def test_every_handled_operator_has_a_case() -> None:
    """No operator that the converters register goes without a comparison."""
    handled = {*SAME, "AveragePool", "BatchNormalization", "CastLike", "Clip", "Conv", "Expand"}
    handled |= {"Attention", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "LayerNormalization"}
    handled |= {
        "Acosh",
        "Asinh",
        "Atanh",
        "Col2Im",
        "ConvInteger",
        "Cosh",
        "CumSum",
        "DepthToSpace",
    }
    handled |= {"DequantizeLinear", "DynamicQuantizeLinear", "GatherElements", "GatherND"}
    handled |= {"GlobalLpPool", "GroupNormalization", "LRN", "LpNormalization", "MatMulInteger"}
    handled |= {"NonZero", "OneHot", "QuantizeLinear", "RMSNormalization", "Resize", "Round"}
    handled |= {"Scatter", "ScatterElements", "Shrink", "Sinh", "Size", "SpaceToDepth"}
    handled |= {"ThresholdedRelu", "Trilu", "Upsample"}
    handled |= {"Add", "Cast", "Ceil", "Div", "Floor", "Mul", "Sign", "Sub", "Where"}
    handled |= {"MatMul", "MaxPool", "Mish", "Pad", "Reshape", "Slice", "Split", "Swish"}

    compared = {node.op_type for one in CASES for node in model_of(one).graph.node}

    assert handled <= compared


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
