"""Cases of operators that give elements another place, repeat or choose them."""

from __future__ import annotations

import numpy as np

from tests.support.operators.cases import (
    FAR,
    IMAGES,
    ROWS,
    Case,
    at_versions,
    case,
    draw,
    ints,
    real,
)


def reshapes() -> list[Case]:
    """The same elements in another shape."""
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
    ]


def squeezes() -> list[Case]:
    """Axes of length one that go or come."""
    ones = draw(2, 1, 3, 1)
    return [
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
    ]


def repeats() -> list[Case]:
    """Elements that change places, come again or are joined to others."""
    return [
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
    ]


def slices() -> list[Case]:
    """Parts of a tensor, by bounds and by lengths."""
    return [
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
    ]


def gathers() -> list[Case]:
    """Elements read or written at places that are given."""
    boolean = "r = Relu(x) c = Cast<to=9>(r)"
    return [
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


CASES = [*reshapes(), *squeezes(), *repeats(), *slices(), *gathers()]
