"""Whole numbers at the beginning of a model are exact, and let the gradient reach the input."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from onnx import TensorProto

from stages.passes import normalise
from stages.twin.convert import build_module
from tests.support.operators.cases import Array, by_onnxruntime, case, draw, ints, model_of, real

PIXELS = np.random.default_rng(3).uniform(1, 120, (4, 6, 5, 3)).astype(np.float32)
KINDS = (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64)
LAYER = "m = Reshape(v, line) y = MatMul(m, w)"
READ = "f = Cast<to=1>(j) v = Div(f, c255)"
BEGINNINGS = [
    f"j = Identity(i) {READ}",
    f"t = Transpose<perm=[0, 3, 1, 2]>(i) j = Slice(t, zero, two, one) {READ}",
    f"j = Gather<axis=3>(i, two) {READ}",
    f"j = Reshape(i, line) {READ}",
    f"p = Pad(i, pads, k) a, b = Split<axis=1, num_outputs=2>(p) j = Concat<axis=1>(b, a) {READ}",
    f"j = Div(i, k) {READ}",
    f"s = Add(i, k) t = Mul(s, k) u = Sub(t, i) j = Div(u, i) {READ}",
    f"s = Sub(i, k) j = Mul(s, k) {READ}",
    f"j = Clip(i, low, high) {READ}",
    f"a = Max(i, k) j = Min(a, many) {READ}",
    f"c = Greater(i, many) j = Where(c, i, k) {READ}",
    f"u = Cast<to=2>(i) j = Cast<to=7>(u) {READ}",
    "c = Greater(i, many) v = Cast<to=1>(c)",
    f"c = Less(i, many) j = Cast<to=7>(c) {READ}",
    "j = CastLike(i, c255) v = Div(j, c255)",
]
DEQUANTISED = "v = DequantizeLinear(i, c255)"


def constants(kind: int) -> dict[str, Array]:
    """Numbers of the integer type, and others."""
    dtype = np.dtype(TensorProto.DataType.Name(kind).lower())
    numbers = {"k": 7, "low": 20, "high": 90, "many": 60}
    return {
        **{name: np.array(number, dtype) for name, number in numbers.items()},
        "zero": ints(0),
        "one": ints(1),
        "two": ints(2),
        "line": ints(0, -1),
        "pads": ints(0, 1, 0, 0, 0, 1, 0, 0),
        "c255": real(255),
    }


def logits(text: str, kind: int) -> tuple[Array, Array, Array]:
    """Logits of onnxruntime and of the twin, and the gradient of the twin's, weighted."""
    begun = f"i = Cast<to={kind}>(x) {text}"
    numbers = constants(kind)
    features = by_onnxruntime(
        model_of(case(f"{begun} y = Reshape(v, line)", PIXELS, 21, **numbers)), PIXELS
    )
    model = model_of(case(f"{begun} {LAYER}", PIXELS, 21, w=draw(features.shape[1], 5), **numbers))
    images = torch.tensor(PIXELS, requires_grad=True)
    found = build_module(normalise(model))(images)
    found.sum().backward()
    assert images.grad is not None
    return by_onnxruntime(model, PIXELS), found.detach().numpy(), images.grad.numpy()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *product(BEGINNINGS, KINDS),
        (DEQUANTISED, TensorProto.UINT8),
        (DEQUANTISED, TensorProto.INT8),
    ],
)
def test_whole_numbers_are_exact_and_pass_the_gradient(text: str, kind: int) -> None:
    """Sums wrap around and quotients are cut off as in the file, and pixels have a gradient."""
    expected, found, gradient = logits(text, kind)

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert np.isfinite(gradient).all()
    assert np.mean(gradient != 0) > 0.25


@pytest.mark.parametrize(
    "text",
    [
        "j = Div(i, many) e = Gather(table, j) y = ReduceMean<axes=[1, 2, 3], keepdims=0>(e)",
        "j = Mod(i, many) y = Cast<to=1>(j)",
        "y = Add(i, k)",
        "s = Shape(i) f = Cast<to=1>(s) g = Floor(f) h = Cast<to=7>(g) y = Reshape(x, h)",
    ],
)
def test_indices_shapes_and_results_stay_integers(text: str) -> None:
    """What cannot read floats gets integers, and computes what onnxruntime computes."""
    numbers = {**constants(TensorProto.INT64), "table": draw(3, 4)}
    model = model_of(case(f"i = Cast<to=7>(x) {text}", PIXELS, 17, **numbers))

    found = build_module(normalise(model))(torch.from_numpy(PIXELS))

    expected = by_onnxruntime(model, PIXELS)
    assert found.detach().numpy().dtype == expected.dtype
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-6)


def test_beside_the_number_itself_the_cast_is_flat() -> None:
    """The gradient of x minus its whole part is 1."""
    text = "i = Cast<to=7>(x) f = Cast<to=1>(i) y = Sub(x, f)"
    x = torch.tensor(PIXELS, requires_grad=True)

    build_module(model_of(case(text, PIXELS)))(x).sum().backward()

    assert x.grad is not None
    assert bool((x.grad == 1).all())
