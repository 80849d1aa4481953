"""Cases of padding, by numbers of the file and by computed ones."""

from __future__ import annotations

import numpy as np

from tests.support.operators.cases import (
    ROWS,
    Case,
    case,
    draw,
    ints,
    real,
)


def pads() -> list[Case]:
    """Every mode, form and sign of padding."""
    every = ints(0, 0, 1, 2, 0, 0, 3, 1)
    boolean = "r = Relu(x) c = Cast<to=9>(r)"
    return [
        *(
            case(f'y = Pad<mode="{mode}">(x, p)', opset=19, p=every)
            for mode in ("wrap", "edge", "reflect", "constant")
        ),
        *(
            case(f'y = Pad<mode="{mode}">(x, p)', p=ints(0, 0, -1, 2, 0, 0, 3, -1))
            for mode in ("edge", "reflect")
        ),
        *(
            case(f'y = Pad<mode="{mode}">(x, late_p)', late_p=every)
            for mode in ("edge", "constant")
        ),
        *(
            case(f'y = Pad<mode="{mode}", pads={every.tolist()}>(x)', opset=10)
            for mode in ("edge", "reflect")
        ),
        case('y = Pad<mode="reflect">(x, p)', ROWS, p=ints(0, 2, 0, 1)),
        case('y = Pad<mode="reflect">(x, p)', draw(2, 3, 6), p=ints(0, 0, 2, 0, 0, 1)),
        case(
            'y = Pad<mode="edge">(x, p)', draw(2, 3, 4, 3, 4), p=ints(0, 0, 2, 0, 1, 0, 0, 1, 1, 3)
        ),
        case("y = Pad<pads=[0, 1, 1, 1, 0, 0, 0, 2], value=2.5>(x)", opset=10),
        case("y = Pad(x, p, v, a)", opset=18, p=ints(1, 2, 3, 4), v=real(1.5), a=ints(3, 1)),
        case("y = Pad(x, p, , late_a)", opset=18, p=ints(1, 2), late_a=ints(-2)),
        case("y = Pad(x, p, late_v)", p=every, late_v=real(0.5)),
        case("y = Pad(x, p, , a)", opset=18, p=ints(), a=ints()),
        case("i = Cast<to=7>(x) y = Pad(i, p, v)", p=every, v=np.array(7)),
        case(f"{boolean} y = Pad(c, p)", p=every),
    ]


CASES = [*pads()]
