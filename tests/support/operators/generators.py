"""Cases of operators that make tensors out of shapes, or images of another size."""

from __future__ import annotations

import numpy as np

from tests.support.operators.cases import (
    IMAGES,
    ROWS,
    Case,
    at_versions,
    case,
    draw,
    ints,
    real,
)


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


def wider_resizes() -> list[Case]:
    """Filters over more than two elements, and a region that is cut out."""
    x, up, down = draw(2, 3, 5, 7), (1, 1, 1.3, 2.1), (1, 1, 0.6, 0.45)
    region = np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 1.2], np.float32)
    crop = 'coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=0.5'
    return [
        *(
            case(f"y = Resize<{form}>(x, , s)", x, 19, s=np.float32(scale))
            for form in ('mode="cubic"', 'mode="linear", antialias=1', 'mode="cubic", antialias=1')
            for scale in (up, down)
        ),
        *(
            case(f'y = Resize<mode="{form}", {crop}>(x, r, s)', x, r=region, s=np.float32(up))
            for form in ("nearest", "linear", "cubic")
        ),
    ]


CASES = [*generators(), *resizes(), *wider_resizes()]
