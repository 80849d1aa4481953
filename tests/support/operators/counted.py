"""Cases of reductions, and of operators that count along axes or choose places."""

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
)


def reductions() -> list[Case]:
    """Reductions over attribute, constant, computed, negative and no axes, and of integers."""
    norms, logs = ("L1", "L2", "SumSquare"), ("LogSum", "LogSumExp")
    x = np.abs(draw(2, 3, 4)) + 0.5
    found = []
    for operator in (*norms, *logs, "Max", "Mean", "Min", "Prod", "Sum"):
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


def counts() -> list[Case]:
    """Operators that count along axes, or tell by its place what is kept."""
    sums = [
        f"y = CumSum<exclusive={one}, reverse={other}>(x, a)" for one in (0, 1) for other in (0, 1)
    ]
    hot = "i = Cast<to=7>(x) y = OneHot"
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
        *at_versions("NonZero", "r = Relu(x) y = NonZero(r)", since=9),
        *at_versions("TopK", "v, i = TopK<axis=1>(x, k) y = Neg(v)", since=10, k=ints(2)),
    ]


def places() -> list[Case]:
    """Operators that read or write at places, or move blocks of positions."""
    scatter = "ScatterElements<axis=1>(x, i, u)"
    updates = {"i": np.array([[0, 3], [1, -1], [4, 2]]), "u": draw(3, 2)}
    rows, columns = np.array([[0], [2]]), np.array([[0, 1], [2, -1]])
    return [
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
        *at_versions("Col2Im", "y = Col2Im(x, s, b)", draw(2, 24, 12), s=ints(4, 6), b=ints(2, 3)),
        case(
            "y = Col2Im<strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 2]>(x, s, b)",
            *(draw(2, 12, 18), 18),
            s=ints(5, 6),
            b=ints(2, 2),
        ),
        case('y = Einsum<equation="nchw,cd->ndhw">(x, w)', w=draw(4, 3)),
        case('y = Einsum<equation="...ij,...kj->...ik">(x, x)', draw(2, 3, 4)),
    ]


CASES = [*reductions(), *counts(), *places()]
