"""Whether hostile files get anything but clean refusals: real exports, changed and judged in turn.

`python -m benchmarks.fuzz --seconds 600 --seed 0` changes bytes and graphs of real exports and of
the tests' crafted files, and lets a limited child process do with each what `ban-gate inspect` does
and, with what that accepts, what a scan does up to the first run. The n-th file of a seed is always
the same. It fails where this process sees anything but an answer or a refusal in time.
"""

from __future__ import annotations

import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import gettempdir

import click
import numpy as np
import onnx
import psutil
from google.protobuf.message import DecodeError, EncodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, parser

from pipeline.isolation import IsolationConfig, isolated, warm_up
from pipeline.untrusted import ProvenGraph, describe, prove_conversion
from stages.errors import BanGateError, ModelRefused, SamplesError
from stages.inspection import inspect_onnx
from stages.parity import ParityConfig
from stages.types import CleanSamples

Change = Callable[[ModelProto, Random], None]
Work = Callable[[Path], object]

TESTS = Path(__file__).parents[1] / "tests"
LIMITS = IsolationConfig(seconds=10, memory_mb=2048)
GRACE = 5.0  # seconds to end a child and to read its answer
SAMPLES = 8  # as many as parity takes by default
LARGEST_IMAGE = 2**22  # numbers
ACCEPTED, UNFORESEEN, SLOW, LARGE, CRASHED = (
    *("accepted", "refused: unforeseen", "stopped: time", "stopped: memory"),
    "stopped: crash",
)
CRAFTED = "crafted."
ESCAPED, LATE = "ESCAPED", "LATE"
ODD = (UNFORESEEN, CRASHED, ESCAPED, LATE)
NAMES = ("", "__class__", "import os", "a\nb", "\x1b[2J", "x" * 5000, "../../x", "∞", "None")
INTEGERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 255, 2**16, 2**24, 2**31, 2**40, 2**63 - 1)
SIZES = (0, 1, 2**10, 2**20, 2**26, 2**29, 2**31, 2**40, 2**62)
FLOATS = (0.0, -1.0, 1e38, -1e38, 1e-45, math.inf, -math.inf, math.nan)
DOMAINS = ("ai.onnx", "ai.onnx.ml", "com.microsoft", "evil", "ai.onnx.training")
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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one file: which it was, how it was made, in which way it ended and how soon."""

    number: int
    seed: str
    changes: tuple[str, ...]
    step: str
    kind: str
    text: str
    seconds: float

    @property
    def is_unforeseen(self) -> bool:
        """Whether the promise is broken: something escaped, or came too late."""
        return self.kind in (ESCAPED, LATE)


def seeds() -> dict[str, bytes]:
    """Real exports and crafted files by name, always the same."""
    sys.path.append(str(TESTS))
    zoo, hostile = import_module("zoo"), import_module("test_hostile")
    quantised, trees = import_module("test_quantised"), import_module("test_ml_operators")
    found = {
        f"{net}.{exporter}": zoo.exported(net, exporter)
        for net in ("small_cnn", "resnet", "mobilenet", "vit")
        for exporter in ("legacy", "dynamo")
    }
    found["small_cnn.preserve"] = zoo.exported("small_cnn", "legacy-preserve")
    found["small_cnn.baked"] = zoo.exported("small_cnn", "dynamo-baked")
    found |= {f"small_cnn.{way}": quantised.quantised("small_cnn", way) for way in quantised.WAYS}
    for name in ("mlp", "minmax"):
        network = trees.exported(trees.fitted(name, 3))
        found[f"sklearn.{name}"] = network.SerializeToString()
    demo = sorted((TESTS.parent / "mlflow_project" / "demo").glob("*.onnx"))
    found |= {f"demo.{path.stem}": path.read_bytes() for path in demo}
    return found | {f"{CRAFTED}{name}": content for name, content in hostile.crafted().items()}


def _node(model: ModelProto, random: Random) -> NodeProto:
    """Any node; rarely one of a subgraph."""
    nodes = list(model.graph.node)
    nodes += [
        node
        for one in nodes
        for attribute in one.attribute
        for graph in (attribute.g, *attribute.graphs)
        for node in graph.node
    ]
    chosen: NodeProto = random.choice(nodes)
    return chosen


def _values(model: ModelProto) -> list[str]:
    graph = model.graph
    written = [name for node in graph.node for name in node.output]
    return [*written, *(one.name for one in (*graph.input, *graph.initializer)), "", "nowhere"]


def _tensors(model: ModelProto) -> list[TensorProto]:
    held = [one.t for node in model.graph.node for one in node.attribute if one.HasField("t")]
    return [*model.graph.initializer, *held]


def change_operator(model: ModelProto, random: Random) -> None:
    """Another operator of the standard, or one of the same name elsewhere."""
    operators = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    _node(model, random).op_type = random.choice(operators)


def change_domain(model: ModelProto, random: Random) -> None:
    """Another domain, imported or not."""
    domain = random.choice(DOMAINS)
    _node(model, random).domain = domain
    if random.random() < 0.5:
        model.opset_import.add(domain=domain, version=random.choice((1, 3, 99)))


def move_node(model: ModelProto, random: Random) -> None:
    """Two nodes change places, or one comes twice, or one goes."""
    nodes = list(model.graph.node)
    place, other = random.randrange(len(nodes)), random.randrange(len(nodes))
    way = random.randrange(3)
    if way == 0:
        nodes[place], nodes[other] = nodes[other], nodes[place]
    elif way == 1:
        nodes.insert(other, nodes[place])
    else:
        del nodes[place]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def rewire(model: ModelProto, random: Random) -> None:
    """A node reads or writes another value, perhaps its own, or one value more or less."""
    node = _node(model, random)
    names = random.choice((node.input, node.input, node.output))
    way = random.randrange(3) if names else 2
    if way == 0:
        names[random.randrange(len(names))] = random.choice(_values(model))
    elif way == 1:
        del names[random.randrange(len(names))]
    else:
        names.append(random.choice(_values(model)))


def change_attribute(model: ModelProto, random: Random) -> None:
    """An attribute goes, comes twice, or says something absurd."""
    node = _node(model, random)
    if not node.attribute:
        return set_attribute(model, random)
    place, way = random.randrange(len(node.attribute)), random.randrange(8)
    if way == 0:
        del node.attribute[place]
    elif way == 1:
        node.attribute.append(node.attribute[place])
    elif way == 2:
        node.attribute[place].type = random.randrange(16)
    else:
        _make_absurd(node.attribute[place], random)
    return None


def _make_absurd(attribute: AttributeProto, random: Random) -> None:
    """Changes the value and keeps the kind; what is no number or text stays."""
    if attribute.type == AttributeProto.INT:
        attribute.i = random.choice(INTEGERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = random.choice(FLOATS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = random.choice((b"", b"\xff\xfe", b"NOTSET", b"VALID", b"cubic", b"ij,jk"))
    elif attribute.ints:
        way = random.randrange(3)
        if way == 0:
            attribute.ints.append(random.choice(INTEGERS))
        else:
            attribute.ints[random.randrange(len(attribute.ints))] = random.choice(INTEGERS)
    elif attribute.floats:
        attribute.floats[random.randrange(len(attribute.floats))] = random.choice(FLOATS)


def set_attribute(model: ModelProto, random: Random) -> None:
    """An attribute that the operator has by the standard, with an absurd value."""
    node = _node(model, random)
    known = [one for one in onnx.defs.get_all_schemas() if one.name == node.op_type]
    if not known or not known[0].attributes:
        return
    name = random.choice(sorted(known[0].attributes))
    kind = int(known[0].attributes[name].type.value)
    absurd = {
        AttributeProto.INT: random.choice(INTEGERS),
        AttributeProto.FLOAT: random.choice(FLOATS),
        AttributeProto.STRING: random.choice(("", "NOTSET", "SAME_UPPER", "x" * 999)),
        AttributeProto.INTS: random.choices(INTEGERS, k=random.randrange(1, 5)),
        AttributeProto.FLOATS: random.choices(FLOATS, k=random.randrange(1, 5)),
    }
    if kind in absurd:
        kept = [one for one in node.attribute if one.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, absurd[kind])])


def change_tensor(model: ModelProto, random: Random) -> None:
    """A tensor lies about its size, its type or its data, or its numbers become absurd."""
    tensors = _tensors(model)
    if not tensors:
        return
    tensor, way = random.choice(tensors), random.randrange(6)
    if way == 0:
        tensor.dims.append(random.choice(SIZES))
    elif way == 1 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice((*SIZES, -1, -(2**62)))
    elif way == 2:
        tensor.data_type = random.randrange(26)
    elif way == 3:
        tensor.raw_data = tensor.raw_data[: random.randrange(1 + len(tensor.raw_data))]
    elif way == 4:
        tensor.raw_data = random.choice((b"\xff", b"\x7f", b"\0")) * len(tensor.raw_data)
    else:
        _put_outside(tensor, random)


def _put_outside(tensor: TensorProto, random: Random) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    location = random.choice(("/etc/passwd", "../x", "/dev/zero", "/dev/stdin", "model.onnx", ""))
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value=str(random.choice(INTEGERS)))


def grow_tensor(model: ModelProto, random: Random) -> None:
    """A tensor of another size whose data fit: what reads it must cope."""
    tensors = [one for one in _tensors(model) if one.data_type == TensorProto.FLOAT]
    if not tensors:
        return
    tensor = random.choice(tensors)
    dims = [random.choice((0, 1, 2, 3, 64)) for _ in range(random.randrange(5))]
    new = helper.make_tensor(tensor.name, 1, dims, b"\0" * 4 * math.prod(dims), raw=True)
    tensor.CopyFrom(new)


def change_type(model: ModelProto, random: Random) -> None:
    """Input, output or an inner value says another shape or type."""
    value = random.choice([*model.graph.input, *model.graph.output, *model.graph.value_info[:3]])
    kind = value.type.tensor_type
    way = random.randrange(4)
    if way == 0:
        kind.elem_type = random.randrange(26)
    elif way == 1:
        kind.shape.dim.add().dim_value = random.choice(SIZES)
    elif way == 2 and kind.shape.dim:
        kind.shape.dim[random.randrange(len(kind.shape.dim))].dim_value = random.choice(SIZES)
    else:
        kind.ClearField("shape")


def rename(model: ModelProto, random: Random) -> None:
    """A value gets a strange name, or the name of another, everywhere."""
    values = _values(model)
    old, new = random.choice(values), random.choice((*NAMES, *values))
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for one in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        one.name = new if one.name == old else one.name


def change_ends(model: ModelProto, random: Random) -> None:
    """Another input, another output, the same twice, or none."""
    ends = random.choice((model.graph.input, model.graph.output))
    way = random.randrange(4) if ends else 3
    if way == 0:
        ends.append(ends[0])
    elif way == 1:
        del ends[0]
    elif way == 2:
        ends[0].name = random.choice(_values(model))
    else:
        ends.append(helper.make_tensor_value_info(random.choice(_values(model)), 1, ["n", 5]))


def change_versions(model: ModelProto, random: Random) -> None:
    """Another IR version or opset."""
    version = random.choice((*INTEGERS, *range(6, 26)))
    if random.random() < 0.2 or not model.opset_import:
        model.ir_version = version
    else:
        model.opset_import[0].version = version


def add_function(model: ModelProto, random: Random) -> None:
    """A function of the model's own, called by a node of that name."""
    imports = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Relu", ["a"], ["b"])]
    name = _node(model, random).op_type
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


CHANGES: tuple[Change, ...] = (
    *(change_operator, change_domain, move_node, rewire, change_attribute, set_attribute),
    *(change_tensor, grow_tensor, change_type, rename, change_ends, change_versions),
    *(add_function, nest, plant_bomb, plant_bomb, plant_bomb),
    *(change_operator, rewire, change_attribute, set_attribute, set_attribute, grow_tensor),
)
"""Those whose files are often well-formed come more than once."""


def flip(content: bytes, random: Random) -> bytes:
    """Up to eight bits flipped, or bytes set to a border value, dropped or doubled."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        place, way = random.randrange(len(changed)), random.randrange(4)
        if way == 0:
            changed[place] ^= 1 << random.randrange(8)
        elif way == 1:
            changed[place] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == 2 and len(changed) > 1:
            del changed[place]
        else:
            changed.insert(place, changed[place])
    return bytes(changed)


def splice(content: bytes, other: bytes, random: Random) -> bytes:
    """The beginning of one file with the end of another; with none, the file is cut off."""
    return content[: random.randrange(1, len(content) + 1)] + other[random.randrange(len(other)) :]


def mutant(corpus: dict[str, bytes], seed: int, number: int) -> tuple[str, tuple[str, ...], bytes]:
    """The n-th file of a seed: what it was made of, by which changes, and its bytes."""
    random = Random(f"{seed}/{number}")  # noqa: S311 (no secret)
    share = CRAFTED if random.random() < 0.2 else ""
    name = random.choice([one for one in sorted(corpus) if one.startswith(share)])
    content, way = corpus[name], random.random()
    if way < 0.15:
        return name, ("flip",), flip(content, random)
    if way < 0.2:
        return name, ("cut",), content[: random.randrange(len(content))]
    if way < 0.25:
        return name, ("splice",), splice(content, corpus[random.choice(sorted(corpus))], random)
    chosen = random.choices(CHANGES, k=random.choice((1, 1, 1, 2, 3)))
    return name, tuple(one.__name__ for one in chosen), _changed(content, chosen, random)


def _changed(content: bytes, changes: list[Change], random: Random) -> bytes:
    """The model with these changes; what is no model, or none any more, as far as it came."""
    try:
        model = ModelProto.FromString(content)
        for change in changes:
            if model.graph.node:
                change(model, random)
        return bytes(model.SerializeToString())
    except (DecodeError, EncodeError, TypeError, ValueError):  # names that are no text
        return flip(content or b"\0", random)


def prove(path: Path) -> ProvenGraph:
    """What a scan does with a file and samples that fit it, up to the first run."""
    artifact = inspect_onnx(path)
    shape = tuple(size or 1 for size in artifact.input.shape[1:])
    if math.prod(shape) > LARGEST_IMAGE:
        raise SamplesError(f"nobody has samples of {math.prod(shape)} numbers each")
    images = np.random.default_rng(0).random((SAMPLES, *shape), dtype=np.float32)
    samples = CleanSamples(images=images, labels=np.zeros(SAMPLES, np.int64))
    return prove_conversion(artifact, samples, ParityConfig())


def judge(path: Path, limits: IsolationConfig) -> Iterator[tuple[str, str, str, float]]:
    """For each step the file gets to: its name, how it ended, the sentence and the seconds."""
    for step, work in (("inspect", describe), ("prove", prove)):
        started = time.monotonic()
        kind, text = judge_step(path, work, limits)
        seconds = time.monotonic() - started
        yield step, LATE if seconds > limits.seconds + GRACE else kind, text, seconds
        if kind == f"refused: {ModelRefused.__name__}":
            return


def judge_step(path: Path, work: Work, limits: IsolationConfig) -> tuple[str, str]:
    """How one step of the work ended, and the sentence that says why."""
    try:
        isolated(limits, work, path)
    except BanGateError as error:
        return _kind(error), str(error)
    except Exception as error:  # noqa: BLE001 (this is what must not happen)
        return ESCAPED, f"{type(error).__name__}: {error}"
    return ACCEPTED, ""


def _kind(error: BanGateError) -> str:
    signs = {
        "please report it": UNFORESEEN,
        "and was stopped": SLOW,
        "MiB of memory": LARGE,
        "the process that reads": CRASHED,
    }
    text = str(error)
    found = (kind for sign, kind in signs.items() if sign in text)
    return next(found, f"refused: {type(error).__name__}")


def fuzz(
    corpus: dict[str, bytes], seed: int, seconds: float, folder: Path, limits: IsolationConfig
) -> Iterator[Outcome]:
    """The outcomes of one changed file after the other, for that long; odd files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path, end, number = folder / "model.onnx", time.monotonic() + seconds, 0
    while time.monotonic() < end:
        name, changes, content = mutant(corpus, seed, number)
        path.write_bytes(content)
        outcomes = [
            Outcome(
                number=number,
                seed=name,
                changes=changes,
                step=step,
                kind=kind,
                text=text,
                seconds=spent,
            )
            for step, kind, text, spent in judge(path, limits)
        ]
        if any(one.kind in ODD for one in outcomes):
            path.rename(folder / f"{seed}-{number}.onnx")
        yield from outcomes
        number += 1


def beginning(text: str) -> str:
    """The first words of a sentence without the names and numbers of the file."""
    plain = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "…", text)
    return " ".join(re.sub(r"-?\d[\d.e+]*", "#", plain).split()[:7])


def table(outcomes: list[Outcome]) -> str:
    """How many files ended in which way at each step, and each odd one by its number."""
    lines = []
    for step in ("inspect", "prove"):
        ended = [one for one in outcomes if one.step == step]
        kinds = Counter(one.kind for one in ended)
        lines += [f"{step}: {len(ended)} files"]
        lines += [f"{count:6d}  {kind}" for kind, count in kinds.most_common()]
    words = Counter((one.kind, beginning(one.text)) for one in outcomes if one.text)
    lines += ["", "refusals of both steps by kind and first words:"]
    lines += [f"{count:6d}  {kind}: {start}" for (kind, start), count in words.most_common()]
    odd = [one for one in outcomes if one.kind in ODD]
    lines += ["", f"{len(odd)} odd outcomes, whose files were kept:"]
    lines += [
        f"{one.number:6d}  {one.seed} {'+'.join(one.changes)} ({one.step}): {one.text[:160]}"
        for one in odd
    ]
    return "\n".join(lines)


@click.command()
@click.option("--seconds", type=float, default=600.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path(gettempdir()) / "fuzz")
def main(seconds: float, seed: int, output: Path) -> None:
    """Judge changed files for that long, print what came of them, keep the odd ones."""
    corpus = seeds()
    warm_up()
    process, outcomes, largest = psutil.Process(), [], 0
    before = process.memory_info().rss
    for outcome in fuzz(corpus, seed, seconds, output, LIMITS):
        outcomes.append(outcome)
        largest = max(largest, process.memory_info().rss - before)
    click.echo(f"seed {seed}, {len(corpus)} sources, {seconds:g} s; each step may take {LIMITS}")
    click.echo(table(outcomes))
    unforeseen = sum(one.is_unforeseen for one in outcomes)
    click.echo(
        f"longest step {max(one.seconds for one in outcomes):.1f} s; this process grew by at most"
        f" {largest / 2**20:.1f} MiB; {unforeseen} exceptions escaped or steps came too late"
    )
    sys.exit(1 if unforeseen else 0)


if __name__ == "__main__":
    main()
