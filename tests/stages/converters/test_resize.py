"""Resizing follows onnxruntime, whatever the filter, the places, the border and the sizes are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.converters.interpolation import Interpolation
from stages.converters.resize import COORDINATES
from tests.support.operators.cases import Array, by_onnxruntime, by_twin, case, draw, ints, model_of

TOLERANCE = 2e-5  # of float32 sums; shares of both signs may nearly cancel
NONE = np.zeros(0, np.float32)
REGION = np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 1.2], np.float32)
SCALES = st.tuples(*[st.sampled_from([0.3, 0.5, 0.75, 1.0, 1.1, 2.0, 2.7])] * 2)
SIZES = st.tuples(*[st.integers(1, 20)] * 2)
LENGTHS = st.tuples(*[st.integers(1, 16)] * 2)


def check(text: str, x: Array, opset: int, **constants: Array) -> None:
    """Compares the twin with onnxruntime."""
    model = model_of(case(text, x, opset, **constants))
    expected, found = by_onnxruntime(model, x), by_twin(model, x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def oldest(place: str, *, smooths: bool) -> int:
    """The first opset that knows these coordinates, and smoothing."""
    return 19 if "symmetric" in place else 18 if smooths else 11


@settings(max_examples=200, deadline=None)
@given(
    form=st.sampled_from(["linear", "cubic"]),
    place=st.sampled_from([name for name in COORDINATES if name != "tf_half_pixel_for_nn"]),
    edges=st.tuples(st.booleans(), st.booleans()),
    a=st.sampled_from([-0.75, -0.5, -0.2]),
    later=st.integers(0, 12),
    target=st.one_of(SCALES, SIZES),
    lengths=LENGTHS,
)
def test_a_filter_gives_what_onnxruntime_gives(
    form: str,
    place: str,
    edges: tuple[bool, bool],
    a: float,
    later: int,
    target: tuple[float, float],
    lengths: tuple[int, int],
) -> None:
    """At every opset, to larger and smaller images, by scales and to sizes."""
    smooths, inside = edges
    listed = [f'mode="{form}"', f'coordinate_transformation_mode="{place}"', f"cubic_coeff_a={a}"]
    listed += ["extrapolation_value=3.5", *["antialias=1"] * smooths]
    listed += ["exclude_outside=1"] * (inside and (smooths or form == "cubic"))
    opset = min(oldest(place, smooths=smooths) + later, 23)
    by_scale = isinstance(target[0], float)
    numbers = (
        {"s": np.array((1, 1, *target), np.float32)} if by_scale else {"t": ints(2, 3, *target)}
    )

    check(
        f"y = Resize<{', '.join(listed)}>(x, r, {'s' if by_scale else 'e, t'})",
        draw(2, 3, *lengths),
        opset,
        r=REGION if "crop" in place else NONE,
        e=NONE,
        **numbers,
    )


@pytest.mark.parametrize("form", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
@given(sizes=SIZES, lengths=LENGTHS)
@settings(max_examples=15, deadline=None)
def test_the_aspect_ratio_is_kept_as_onnxruntime_keeps_it(
    form: str, policy: str, sizes: tuple[int, int], lengths: tuple[int, int]
) -> None:
    """All chosen axes take the smallest or the largest scale; places are exact, ties aside."""
    listed = f'mode="{form}", keep_aspect_ratio_policy="{policy}", axes=[2, 3]'
    rounding = ', nearest_mode="floor", coordinate_transformation_mode="align_corners"'
    text = f"y = Resize<{listed}{rounding if form == 'nearest' else ''}>(x, , , t)"

    check(text, draw(2, 3, *lengths), 18, t=ints(*sizes))


@pytest.mark.parametrize("smooths", [False, True])
@pytest.mark.parametrize("cubic", [None, -0.5])
def test_a_constant_stays_and_every_element_counts(cubic: float | None, smooths: bool) -> None:
    """The shares of every place add up to one; smoothed, no element of the input is left out."""
    filter_ = Interpolation(cubic=cubic, smooths=smooths, inside_only=False)
    places = (torch.arange(4) + 0.5) / 0.125 - 0.5

    shares = filter_.shares(places, 32, 0.125)

    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    assert bool(shares.abs().sum(0).gt(0).all()) == smooths
