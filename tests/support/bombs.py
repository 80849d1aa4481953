"""Nodes of a few bytes that want a gigabyte or more, behind the logits of the tiny model."""

from __future__ import annotations

from onnx import ModelProto, parser

from tests.support.tiny_model import append, tiny

BOMBS = {
    "ConstantOfShape": "e = ConstantOfShape(n) s = ReduceSum<keepdims=0>(e) last = Add(logits, s)",
    "Expand": "e = Expand(logits, deep) last = ReduceMax<axes=[0], keepdims=0>(e)",
    "Tile": "e = Tile(row, n) s = ReduceSum<keepdims=0>(e) last = Add(logits, s)",
    "Range": (
        "r = Range(zero, end, one) f = Cast<to=1>(r) s = ReduceSum<keepdims=0>(f)"
        " last = Add(logits, s)"
    ),
    "Pad": "e = Pad(logits, pads) s = ReduceMax<axes=[1]>(e) last = Add(logits, s)",
    "Resize": "e = Resize(logits, , scales) s = ReduceMax<axes=[1]>(e) last = Add(logits, s)",
    "OneHot": (
        "i = Cast<to=7>(logits) h = OneHot(i, end, pair) s = ReduceMax<axes=[2], keepdims=0>(h)"
        " last = Add(logits, s)"
    ),
    "EyeLike": (
        "c = ConstantOfShape(side) e = EyeLike<dtype=1>(c) s = ReduceSum<keepdims=0>(e)"
        " last = Add(logits, s)"
    ),
    "CumSum": (
        "c = ConstantOfShape(n) k = CumSum(c, zero) s = ReduceSum<keepdims=0>(k)"
        " last = Add(logits, s)"
    ),
    "Einsum": (
        't = Tile(logits, wide) r = Reshape(t, flat) d = Einsum<equation = "i,j->ij">(r, r)'
        " s = ReduceMax<keepdims=0>(d) last = Add(logits, s)"
    ),
    "Mul": (
        "t = Tile(logits, wide) r = Reshape(t, flat) c = Reshape(t, column) d = Mul(r, c)"
        " s = ReduceMax<keepdims=0>(d) last = Add(logits, s)"
    ),
    "DequantizeLinear": (
        "z = ConstantOfShape<value = int8[1] {1}>(n) f = DequantizeLinear(z, scale)"
        " s = ReduceMax<keepdims=0>(f) last = Add(logits, s)"
    ),
}
"""By the operator that asks for the memory; `n` and `end` are the size."""


def bomb(nodes: str, size: int) -> ModelProto:
    """The tiny model whose logits go through these nodes."""
    constants = (
        f"int64[1] n = {{{size}}}, int64 end = {{{size}}}, int64[3] deep = {{{size}, 1, 1}},"
        f"int64[4] pads = {{0, 0, 0, {size}}}, float[2] scales = {{1, {size}}},"
        "int64[2] side = {20000, 20000}, int64[2] wide = {1, 20000}, int64[1] flat = {-1},"
        "int64[2] column = {-1, 1}, int64 zero = {0}, int64 one = {1}, float[2] pair = {0, 1},"
        "float[1] row = {1}, float scale = {1}"
    )
    graph = parser.parse_graph(f"g (float[] logits) => (float[] last) <{constants}> {{ {nodes} }}")
    used = {name for node in graph.node for name in node.input}
    model = tiny()
    append(model, *graph.node)
    model.graph.initializer.extend(one for one in graph.initializer if one.name in used)
    return model
