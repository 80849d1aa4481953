"""Gradients of every operator: they are the slope of onnxruntime, finite, and reach all weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.twin.convert import build_module
from tests.support.operators import CASES
from tests.support.operators.cases import (
    ROWS,
    Case,
    by_onnxruntime,
    case,
    draw,
    ints,
    model_of,
    operators_of,
)

FLAT = {"ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "ConstantOfShape", "Floor", "Range"}
FLAT |= {"ConvInteger", "DequantizeLinear", "MatMulInteger", "QuantizeLinear", "IsInf", "IsNaN"}
FLAT |= {"NonZero", "OneHot", "Round", "Shape", "Sign", "Size"}
STEP = np.float32(1e-3)  # small beside the distance to a kink, large beside float32's resolution


def smooth() -> list[Case]:
    """The cases from float32 to float32 without a step, each at its newest opset."""
    found = {(one.text, one.x.shape, *one.constants): one for one in CASES if one.x.size}
    return [one for one in found.values() if FLAT.isdisjoint(operators_of(one)) and _is_float(one)]


def _is_float(one: Case) -> bool:
    comparisons = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
    return one.x.dtype == np.float32 and comparisons.isdisjoint(operators_of(one))


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
