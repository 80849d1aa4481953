"""Steps at the beginning of a model are exact, and let the gradient reach the input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.passes import normalise
from stages.twin.convert import build_module
from tests.support.operators.cases import Array, by_onnxruntime, case, draw, ints, model_of, real

IMAGES = np.random.default_rng(3).uniform(0, 255, (4, 3, 5, 6)).astype(np.float32)
LAYER = "m = Reshape(v, line) y = MatMul(m, w)"
BEGINNINGS = [
    "v = Floor(x)",
    "v = Ceil(x)",
    "h = Sub(x, half) v = Sign(h)",
    "h = Div(x, half) f = Floor(h) v = Mul(f, half)",
    *(
        f"c = {name}({pair}) v = Cast<to=1>(c)"
        for name in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
        for pair in ("x, half", "half, x", "x, each")
    ),
    "c = LessOrEqual(x, each) v = Where(c, half, each)",
    "c = Greater(x, half) d = Less(x, half) e = Cast<to=1>(c) f = Cast<to=1>(d) v = Sub(e, f)",
    "c = Greater(x, half) f = Cast<to=1>(c) n = Not(c) b = Cast<to=1>(n) v = Concat<axis=1>(f, b)",
]


def logits(text: str, x: Array, *, plain: bool = False) -> tuple[Array, Array, Array]:
    """Logits of onnxruntime and of the twin, and the gradient of the sum of the twin's."""
    constants = {
        "half": real(127.5),
        "zero": real(0),
        "each": np.abs(draw(3, 1, 1)) * 100,
        "line": ints(0, -1),
    }
    width = 90 * (2 if "Concat" in text else 1)
    model = model_of(case(f"{text} {LAYER}", x, w=draw(width, 5), **constants))
    images = torch.tensor(x, requires_grad=True)
    found = build_module(model if plain else normalise(model))(images)
    found.sum().backward()
    assert images.grad is not None
    return by_onnxruntime(model, x), found.detach().numpy(), images.grad.numpy()


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("text", BEGINNINGS)
def test_a_step_is_exact_and_passes_the_gradient(text: str, plain: bool) -> None:
    """The twin's logits are the file's, and every pixel has a gradient, far from a step as well."""
    expected, found, gradient = logits(text, IMAGES, plain=plain)

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4 * np.abs(expected).max())
    assert bool((gradient != 0).all())


@pytest.mark.parametrize(
    ("text", "rising"),
    [
        ("c = Greater(x, half) v = Cast<to=1>(c)", 1),
        ("c = Less(half, x) v = Cast<to=1>(c)", 1),
        ("c = LessOrEqual(x, half) v = Cast<to=1>(c)", -1),
        ("c = Less(x, half) v = Where(c, zero, half)", 127.5),
        ("c = Less(x, half) v = Where(c, half, zero)", -127.5),
    ],
)
def test_the_gradient_points_across_the_threshold(text: str, rising: float) -> None:
    """It has the sign of the change that crossing the threshold upwards makes."""
    _, _, through = logits(text, IMAGES)
    _, _, past = logits("v = Identity(x)", IMAGES)

    np.testing.assert_allclose(through, rising * past, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("f = Floor(x) v = Sub(x, f)", 1.0),
        ("s = Sign(x) v = Mul(x, s)", 1.0),
        ("c = Greater(x, half) f = Cast<to=1>(c) v = Mul(x, f)", None),
        ("c = Less(x, half) v = Where(c, x, half)", None),
    ],
)
def test_a_number_that_goes_on_itself_keeps_its_own_slope(text: str, slope: float | None) -> None:
    """Beside the number, a step is flat: the gradient of x − floor(x) is 1, not 0."""
    expected, found, gradient = logits(text, IMAGES)
    _, _, whole = logits("v = Identity(x)", IMAGES)

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4 * np.abs(expected).max())
    passed = (IMAGES > 127.5) == ("Greater" in text)
    np.testing.assert_allclose(gradient, whole * (slope or passed), rtol=1e-5)


def test_infinities_stay() -> None:
    """A step of an infinite number is infinite, and the gradient of the others is finite."""
    x = torch.tensor([[0.5, float("inf"), -float("inf")]], requires_grad=True)

    found = build_module(model_of(case("y = Floor(x)", np.ones((1, 3), np.float32))))(x)
    found[:, 0].sum().backward()

    assert found.tolist() == [[0.0, float("inf"), -float("inf")]]
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0, 0.0, 0.0]]


def test_a_mask_of_infinities_stays_flat() -> None:
    """A choice between zero and minus infinity is exact and has no gradient of its own."""
    text = "c = Greater(x, half) m = Where(c, zero, low) z = Mul(x, zero) y = Add(z, m)"
    numbers = {"half": real(127.5), "zero": real(0), "low": real(-np.inf)}
    model = model_of(case(text, IMAGES, **numbers))
    x = torch.tensor(IMAGES, requires_grad=True)

    found = build_module(model)(x)
    found[IMAGES > 127.5].sum().backward()

    np.testing.assert_array_equal(found.detach().numpy(), by_onnxruntime(model, IMAGES))
    assert x.grad is not None
    assert bool((x.grad == 0).all())
