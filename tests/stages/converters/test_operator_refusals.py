"""What torch cannot compute as ONNX means it is refused by the operator's name and the reason."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from stages.converters.expand import Expand
from stages.converters.reshape import Reshape
from stages.errors import ConversionError
from stages.twin.convert import build_module
from tests.support.operators.cases import (
    ROWS,
    Case,
    case,
    draw,
    ints,
    model_of,
    operators_of,
    real,
)
from tests.support.operators.layers import QUERIES

Refusal = tuple[str, Case]
"""A word of the reason, and a node that torch cannot follow."""


def of_windows() -> list[Refusal]:
    """Convolutions and pools."""
    transposed = {"w": draw(4, 3, 3, 3)}
    pool = "AveragePool<kernel_shape=[3, 3], strides=[2, 2]"
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
        (
            "computed",
            case("y = Col2Im(x, late_s, b)", draw(2, 24, 4), 18, late_s=ints(4, 6), b=ints(2, 3)),
        ),
        (
            "images with 1 axes",
            case("y = Col2Im(x, s, b)", draw(2, 8, 3), 18, s=ints(6), b=ints(2)),
        ),
    ]


def of_layers() -> list[Refusal]:
    """Normalisation, attention and activations."""
    norm = "y = BatchNormalization"
    four = {name: draw(4) for name in "sbmv"}
    spots = {name: draw(4, 7, 9) for name in "sbmv"}
    return [
        ("statistics", case(f"{norm}<training_mode=1>(x, s, b, m, v)", **four)),
        ("per position", case(f"{norm}<spatial=0>(x, s, b, m, v)", opset=7, **spots)),
        ("rank 6", case(f"{norm}(x, s, b, m, v)", draw(2, 4, 1, 2, 1, 2), **four)),
        ("statistics", case("y, m = LayerNormalization(x, s) z = Add(m, m)", s=draw(9))),
        ("soft cap", case("y = Attention<softcap=2.0>(x, x, x)", QUERIES, 23)),
        (
            "side by side",
            case("y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x)", draw(2, 5, 8), 23),
        ),
        ("cache", case("y, k, v = Attention(x, x, x, , x, x)", QUERIES, 23)),
        ("alpha parameter", case("y = Selu<alpha=1.2>(x)")),
        ("no converter", case("y = Hardmax(x)")),
    ]


def of_others() -> list[Refusal]:
    """Padding, resizing, quantisation and more."""
    symmetric = 'y = Resize<coordinate_transformation_mode="half_pixel_symmetric">'
    region = 'y = Resize<coordinate_transformation_mode="tf_crop_and_resize">'
    dynamic = "q, s, z = DynamicQuantizeLinear(x)"
    return [
        ("mode `mirror`", case('y = Pad<mode="mirror">(x, p)', p=ints(*[0] * 8))),
        (
            "reduction",
            case('y = ScatterND<reduction="add">(x, i, x)', ROWS, i=ints(0, 1, 2)[:, None]),
        ),
        (
            "`half_pixel_symmetric`",
            case(f"{symmetric}(x, , s)", opset=19, s=np.ones(4, np.float32)),
        ),
        (
            "region that is computed",
            case(f"{region}(x, late_r, s)", late_r=draw(8), s=np.ones(4, np.float32)),
        ),
        ("without scales", case("y = Resize(x)", opset=13)),
        ("FLOAT8", case("y = QuantizeLinear<output_dtype=17>(x, s)", opset=23, s=real(1))),
        ("all computed", case(f"{dynamic} y = MatMulInteger(q, q)", draw(3, 3))),
        ("rank 3", case(f"{dynamic} y = MatMulInteger(q, w)", ROWS, w=np.ones((2, 5, 3), "i1"))),
        ("no converter", case("y = Det(x)", draw(2, 3, 3))),
    ]


@pytest.mark.parametrize(("reason", "one"), [*of_windows(), *of_layers(), *of_others()], ids=str)
def test_what_torch_cannot_say_is_refused_by_name(reason: str, one: Case) -> None:
    """A refusal names the operator, the opset and the reason in one line, and never computes."""
    operator = next(name for name in reversed(operators_of(one)) if name not in ("Add", "Cast"))

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
