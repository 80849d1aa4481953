"""Cases of quantisation and back, and of products of integers."""

from __future__ import annotations

import numpy as np

from tests.support.operators.cases import (
    IMAGES,
    ROWS,
    Case,
    at_versions,
    case,
    draw,
    real,
)


def quantisations() -> list[Case]:
    """Quantisation and back, per tensor, axis and block, and products of integers."""
    both = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)"
    axis = "q = QuantizeLinear<axis=1>(x, s, z) y = DequantizeLinear<axis=1>(q, s, z)"
    scale, scales = real(0.37), np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    found = [
        one
        for kind, since in ((np.uint8, 10), (np.int8, 10), (np.uint16, 21), (np.int16, 21))
        for one in at_versions(
            "QuantizeLinear", both, 50 * ROWS, since=since, s=scale, z=np.array(3, kind)
        )
    ]
    zeros = np.array([0, 3, 100, 7], np.uint8)
    found += at_versions("QuantizeLinear", axis, IMAGES, since=13, s=scales, z=zeros)
    blocks = {"s": np.abs(draw(3, 2)) + 0.1, "z": np.arange(6, dtype=np.int8).reshape(3, 2)}
    blocked = axis.replace("axis=1", "axis=1, block_size=3")
    dynamic = "q, s, z = DynamicQuantizeLinear(x)"
    whole, weight = np.arange(-10, 10, dtype=np.int8).reshape(5, 4), draw(6, 4, 3, 2) * 50
    kernel = {"w": weight.astype(np.int8)}
    return [
        *found,
        case(blocked, draw(3, 5), 21, **blocks),
        case("q = QuantizeLinear(x, s) y = DequantizeLinear(q, s)", ROWS, s=scale),
        case(both.replace(" s,", " late_s,"), ROWS, late_s=scale, z=np.array(3, np.int8)),
        case("q = QuantizeLinear(x, s, z) y = Cast<to=1>(q)", ROWS, s=scale, z=np.array(9, "u1")),
        case(f"{dynamic} y = DequantizeLinear(q, s, z)", IMAGES),
        case(f"{dynamic} y = DequantizeLinear(q, s, z)", 0 * ROWS),
        case(f"{dynamic} y = DequantizeLinear(q, s, z)", np.abs(ROWS)),
        case(f"{dynamic} i = MatMulInteger(q, w, z) y = Cast<to=1>(i)", ROWS, w=whole),
        case(
            f"{dynamic} i = MatMulInteger(q, w, z, v) y = Cast<to=1>(i)",
            *(ROWS,),
            w=whole,
            v=np.array([1, -2, 3, 0], np.int8),
        ),
        case(f"{dynamic} i = ConvInteger(q, w, z) y = Cast<to=1>(i)", **kernel),
        case(
            f"{dynamic} i = ConvInteger<pads=[1, 0, 1, 1]>(q, w, z, v) y = Cast<to=1>(i)",
            **kernel,
            v=np.array(4, np.int8),
        ),
        case(f"{dynamic} i = ConvInteger(q, w) y = Cast<to=1>(i)", **kernel),
    ]


CASES = [*quantisations()]
