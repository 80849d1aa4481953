"""Cases of layers: convolutions, matrix products and attention."""

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

QUERIES = draw(2, 4, 5, 8)


def convolutions() -> list[Case]:
    """Convolutions by weights of the file and by weights computed in the graph."""
    weight, bias, halves = draw(6, 4, 3, 2), draw(6), draw(6, 2, 3, 2)
    spatial = {"w": draw(2, 3, 2, 2, 2), "b": draw(2)}
    forms = ["", "strides=[2, 3], ", "dilations=[2, 2], "]
    found = []
    for auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        for form in forms[: 2 if "SAME" in auto else 3]:  # onnxruntime does not dilate SAME
            text = f'y = Conv<{form}auto_pad="{auto}">'
            found.append(case(f"{text}(x, w, b)", w=weight, b=bias))
            found.append(case(f"{text}(x, late_w, late_b)", late_w=weight, late_b=bias))
        text = f'y = Conv<group=2, auto_pad="{auto}">'
        found.append(case(f"{text}(x, w, b)", w=halves, b=bias))
        found.append(case(f"{text}(x, late_w)", late_w=halves))
    one_axis = {"w": draw(3, 4, 3)}
    return [
        *found,
        case("y = Conv<pads=[1, 1]>(x, w)", draw(2, 4, 8), **one_axis),
        case("y = Conv<pads=[1, 2], strides=[2]>(x, w)", draw(2, 4, 8), **one_axis),
        case('y = Conv<auto_pad="SAME_LOWER", strides=[3]>(x, w)', draw(2, 4, 8), **one_axis),
        case("y = Conv<pads=[1, 0, 1, 1, 0, 1]>(x, w, b)", draw(2, 3, 4, 4, 4), **spatial),
        case("y = Conv<pads=[1, 0, 1, 0, 1, 1]>(x, w, b)", draw(2, 3, 4, 4, 4), **spatial),
        case("y = Conv(x, late_w)", draw(2, 3, 4, 4, 4), late_w=spatial["w"]),
        case("y = Conv(x, late_w)", draw(2, 4, 8), late_w=draw(3, 4, 3)),
        case("y = Conv(x, w, late_b)", w=weight, late_b=bias),
        case("y = Conv<group=4>(x, w)", opset=22, w=draw(8, 1, 3, 3)),
        case("y = Conv<group=4, pads=[0, 1, 1, 0]>(x, w)", opset=22, w=draw(8, 1, 3, 3)),
    ]


def transposed_convolutions() -> list[Case]:
    """Transposed convolutions as far as torch has them."""
    forms = [
        "",
        "<strides=[2, 3]>",
        "<dilations=[2, 1]>",
        '<auto_pad="VALID">',
        "<pads=[1, 1, 1, 1], strides=[2, 2], output_padding=[1, 0]>",
    ]
    weights = {"w": draw(4, 3, 3, 3), "b": draw(3)}
    return [
        *(
            one
            for form in forms
            for one in at_versions(
                "ConvTranspose", f"y = ConvTranspose{form}(x, w, b)", IMAGES, **weights
            )
        ),
        case("y = ConvTranspose<group=2>(x, w)", w=draw(4, 3, 3, 3)),
        case("y = ConvTranspose<strides=[2]>(x, w)", draw(2, 4, 5), w=draw(4, 3, 3)),
        case("y = ConvTranspose(x, w)", draw(2, 4, 3, 3, 3), w=draw(4, 3, 2, 2, 2)),
    ]


def products() -> list[Case]:
    """Matrix products of all ranks and Gemm in all its forms."""
    gemm = {"b": draw(5, 2)}
    return [
        case("y = MatMul(x, w)", draw(4), w=draw(4, 3)),
        case("y = MatMul(x, w)", draw(2, 3, 4), w=draw(4, 5)),
        case("y = MatMul(x, w)", draw(2, 3, 2, 4), opset=9, w=draw(4, 5)),
        case("y = MatMul(x, w)", draw(3, 4), w=draw(4)),
        case("y = MatMul(w, x)", draw(4, 3), w=draw(2, 4)),
        case("y = MatMul(x, w)", draw(2, 1, 3, 4), w=draw(5, 4, 2)),
        case("y = MatMul(x, late_w)", draw(3, 4), late_w=draw(4, 2)),
        case("t = Transpose<perm=[0, 2, 1]>(x) y = MatMul(x, t)", draw(2, 3, 4)),
        case("y = MatMul(x, w)", draw(3, 4).astype(np.float64), w=draw(4, 2).astype(np.float64)),
        case(
            "i = Cast<to=6>(x) y = MatMul(i, w)",
            5 * ROWS,
            w=np.arange(10, dtype=np.int32).reshape(5, 2),
        ),
        *at_versions("Gemm", "y = Gemm(x, b, c)", **gemm, c=draw(2)),
        *at_versions("Gemm", "y = Gemm<alpha=0.5, beta=2.0>(x, b, c)", **gemm, c=draw(2)),
        *at_versions("Gemm", "y = Gemm<alpha=0.5>(x, b)", since=11, **gemm),
        case("y = Gemm<transB=1>(x, b, c)", b=draw(2, 5), c=draw(2), x=ROWS),
        case("y = Gemm<transA=1>(x, b, c)", ROWS, b=draw(3, 2), c=draw(2)),
        case("y = Gemm<transA=1, transB=1>(x, b)", ROWS, b=draw(2, 3)),
        case("y = Gemm<beta=0.5>(x, b, c)", ROWS, **gemm, c=draw(1, 2)),
        case("y = Gemm(x, b, c)", ROWS, **gemm, c=draw(3, 1)),
        case(
            "t = MatMul(x, a) y = Gemm(t, b, c)", a=draw(5, 4), b=draw(4, 3), c=draw(3, 1), x=ROWS
        ),
        case("y = Gemm(x, b, c)", ROWS, **gemm, c=real(2)),
        case("y = Gemm(x, b, c)", ROWS, **gemm, c=draw(1)),
        case("y = Gemm(x, late_b, c)", ROWS, late_b=draw(5, 2), c=draw(2)),
        case("y = Gemm(x, b, late_c)", ROWS, **gemm, late_c=draw(2)),
        case("y = Gemm(w, x)", ROWS, w=draw(2, 3)),
    ]


def attentions() -> list[Case]:
    """Attention with heads apart: masks, causal, scale, shared and differently long keys."""
    same = {"k": draw(2, 4, 5, 8), "v": draw(2, 4, 5, 8) - 1}
    masks = (draw(5, 5), draw(5, 5) > -0.5, draw(2, 1, 5, 5))
    causal = "y = Attention<is_causal=1>"
    return [
        *(case("y = Attention(x, k, v, m)", QUERIES, 23, **same, m=mask) for mask in masks),
        *(
            case(f"{causal}(x, k, v, m)", QUERIES, 23, **same, m=np.abs(mask))
            for mask in masks[::2]
        ),
        case(f"{causal}(x, k, v, m)", QUERIES, 23, **same, m=np.triu(np.ones((5, 5))) < 2),
        case("y = Attention(x, k, v)", QUERIES, 23, k=draw(2, 4, 6, 8), v=draw(2, 4, 6, 3)),
        case("y = Attention(x, k, v)", QUERIES, 23, k=draw(2, 2, 6, 8), v=draw(2, 2, 6, 3)),
        case(f"{causal}(x, k, v)", QUERIES, 23, k=draw(2, 4, 6, 8), v=draw(2, 4, 6, 8)),
        case(f"{causal}(x, k, v)", QUERIES, 23, k=draw(2, 4, 4, 8), v=draw(2, 4, 4, 8)),
        case("y = Attention<scale=0.25>(x, x, x)", QUERIES, 23),
        case("y = Attention(x, late_k, x)", QUERIES, 23, late_k=draw(2, 4, 5, 8)),
    ]


CASES = [*convolutions(), *transposed_convolutions(), *products(), *attentions()]
