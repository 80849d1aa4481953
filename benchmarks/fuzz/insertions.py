"""Changes that put graphs into the graph: branches, functions, and nodes that want too much."""

from __future__ import annotations

from random import Random

from onnx import GraphProto, ModelProto, NodeProto, helper, parser

from benchmarks.fuzz.absurd import SIZES
from benchmarks.fuzz.nodes import any_node

_BODY = "body = b (int64 i, bool k, float[] x) => (bool d, float[] y) { d = Identity(k)"
BOMBS = (
    "c = ConstantOfShape(n) s = ReduceSum<keepdims=0>(c) w = Add(v, s)",
    "s = Shape(v) t = Concat<axis=0>(n, s) e = Expand(v, t) w = ReduceMax<axes=[0], keepdims=0>(e)",
    "e = Expand(v, n) w = Add(v, e)",
    "s = Shape(v) t = Sub(s, s) u = Add(t, n) w = Tile(v, u)",
    "q = Squeeze(n) r = Range(zero, q, one) f = Cast<to=1>(r) s = ReduceMax(f) w = Add(v, s)",
    "s = Shape(v) t = Mul(s, n) w = Resize(v, , , t)",
    "s = Shape(v) t = Sub(s, s) u = Add(t, n) p = Concat<axis=0>(u, t) w = Pad(v, p)",
    "q = Squeeze(n) f = Cast<to=7>(v) h = OneHot(f, q, pair) w = Cast<to=1>(h)",
    "m = Concat<axis=0>(n, n) c = ConstantOfShape(m) e = EyeLike(c) w = MatMul(v, e)",
    "c = ConstantOfShape(n) k = CumSum(c, zero) s = ReduceSum<keepdims=0>(k) w = Add(v, s)",
    "w = Reshape(v, n)",
    f"w = Loop<{_BODY} y = Relu(x) }}>(n, yes, v)",
    f"w = Loop<{_BODY} y = Concat<axis=0>(x, x) }}>(n, yes, v)",
    'd = Einsum<equation = "...i,...j,...k,...l->ijkl">(v, v, v, v) s = ReduceMax(d) w = Add(v, s)',
)
"""What may stand between a value `v` and its readers, who then read `w`; `n` is absurd."""


def add_function(model: ModelProto, random: Random) -> None:
    """A function of the model's own, called by a node of that name."""
    imports = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Relu", ["a"], ["b"])]
    name = any_node(model, random).op_type
    model.functions.append(helper.make_function("", name, ["a"], ["b"], body, imports))


def nest(model: ModelProto, random: Random) -> None:
    """A value goes through an If in an If in an If."""
    graph = parse_bomb("w = Relu(v)")
    for level in range(random.choice((1, 3, 8, 30))):
        del graph.initializer[:], graph.input[:]
        inner = GraphProto.FromString(graph.SerializeToString())
        graph = parse_bomb("w = Relu(v)")
        branches = {"then_branch": inner, "else_branch": inner} if level < 4 else {}
        branches = branches or {"then_branch": inner, "else_branch": _leaf()}
        graph.node[0].CopyFrom(helper.make_node("If", ["yes"], ["w"], **branches))
    _insert(model, graph, random)


def plant_bomb(model: ModelProto, random: Random) -> None:
    """A value is made huge, or takes for ever, before its readers get it."""
    _insert(model, parse_bomb(random.choice(BOMBS), random.choice(SIZES)), random)


def _leaf() -> GraphProto:
    graph = parse_bomb("w = Relu(v)")
    del graph.initializer[:], graph.input[:]
    return graph


def parse_bomb(nodes: str, size: int = 1) -> GraphProto:
    """The nodes as a graph, with the constants they may read."""
    constants = (
        f"int64[1] n = {{{size}}}, bool yes = {{1}}, int64 zero = {{0}}, int64 one = {{1}},"
        "float[2] pair = {0, 1}"
    )
    return parser.parse_graph(f"g (float[] v) => (float[] w) <{constants}> {{ {nodes} }}")


def _insert(model: ModelProto, graph: GraphProto, random: Random) -> None:
    """Puts the graph's nodes behind a value, whose readers read their result."""
    nodes = list(model.graph.node)
    place = random.randrange(len(nodes))
    value = next(iter(nodes[place].output), "")
    ending = f"_{random.randrange(10**6)}"
    for node in nodes[place + 1 :]:
        node.input[:] = [f"w{ending}" if name == value else name for name in node.input]
    for output in model.graph.output:
        output.name = f"w{ending}" if output.name == value else output.name
    _rename_all(graph, {"v": value}, ending)
    copies = [
        NodeProto.FromString(node.SerializeToString())
        for node in (*nodes[: place + 1], *graph.node, *nodes[place + 1 :])
    ]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    model.graph.initializer.extend(graph.initializer)


def _rename_all(graph: GraphProto, names: dict[str, str], ending: str) -> None:
    for node in graph.node:
        for part in (node.input, node.output):
            part[:] = [names.get(name, f"{name}{ending}" if name else "") for name in part]
        for attribute in node.attribute:
            _rename_all(attribute.g, names, ending)
    for one in (*graph.input, *graph.output, *graph.initializer):
        one.name = names.get(one.name, f"{one.name}{ending}")
