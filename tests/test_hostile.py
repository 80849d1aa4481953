"""Laws for files that lie, break the format or attack: each ends in one clear sentence.

A hostile file either is refused with a `CannotJudge` or works as the harmless model it is; nothing
else may come out of inspection, normalising, conversion and the first run, which happen in a child
process within small limits, as in a scan.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zoo
from click.testing import CliRunner
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, parser
from torch import fx

from mlflow_project import cli
from pipeline.isolation import IsolationConfig, isolated
from pipeline.untrusted import ProvenGraph, describe, prove_conversion
from stages.convert import build_module
from stages.errors import CannotJudge, ConversionError, ModelRefused
from stages.inspection import LARGEST_FILE, inspect_onnx, load_proto
from stages.normalise import normalise
from stages.parity import ParityConfig
from stages.types import CleanSamples

Change = Callable[[ModelProto], None]

LIMITS = IsolationConfig(seconds=20, memory_mb=512)
MUTATIONS = 150
IMAGES = zoo.images(2)[..., :8, :8]


def info(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> object:
    """The type of a value of that shape."""
    return helper.make_tensor_value_info(name, kind, shape)


def tiny() -> ModelProto:
    """A sound classifier: convolution, ReLU, pooling, flatten and a matrix product."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["maps"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["maps"], ["kept"]),
        helper.make_node("GlobalAveragePool", ["kept"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "matrix"], ["logits"]),
    ]
    weights = [
        numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "kernel"),
        numpy_helper.from_array(np.ones((4, 5), np.float32), "matrix"),
    ]
    graph = helper.make_graph(
        *(nodes, "tiny", [info("x", "batch", 3, 8, 8)], [info("logits", "batch", 5)], weights)
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def written(content: bytes, folder: Path) -> Path:
    """The file with that content."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def judge(content: bytes, folder: Path) -> fx.GraphModule:
    """The twin of a file, by the steps that come before anything is run."""
    path = written(content, folder)
    inspect_onnx(path)
    return build_module(normalise(load_proto(path)))


def require_sentence(error: CannotJudge) -> None:
    """One line that a person can read, without a traceback."""
    text = str(error)
    assert text.strip() == text != ""
    assert text.isprintable()  # no line break, no terminal code
    assert "Traceback" not in text
    assert len(text) < 1000


CHANGES: dict[str, tuple[type[CannotJudge], str, Change]] = {}


def refused(reason: str, kind: type[CannotJudge] = ModelRefused) -> Callable[[Change], Change]:
    """Notes a change that makes the tiny model one that is refused for that reason."""

    def note(change: Change) -> Change:
        CHANGES[change.__name__.strip("_")] = (kind, reason, change)
        return change

    return note


def _append(model: ModelProto, *nodes: NodeProto, **constants: object) -> None:
    """Appends nodes that lead from `logits` to the output `last`."""
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name) for name, value in constants.items()
    )
    model.graph.node.extend(nodes)
    model.graph.output[0].name = "last"


def _set_attribute(model: ModelProto, name: str, value: object) -> None:
    """Gives the convolution that attribute."""
    node = model.graph.node[0]
    kept = [one for one in node.attribute if one.name != name]
    changed = [helper.make_attribute(one.name, list(one.ints)) for one in kept]
    node.ClearField("attribute")
    node.attribute.extend([*changed, helper.make_attribute(name, value)])


def _branch(name: str, *tensors: TensorProto) -> GraphProto:
    """A graph for an If that rectifies the logits."""
    nodes = [helper.make_node("Relu", ["logits"], [name])]
    return helper.make_graph(nodes, name, [], [info(name, "batch", 5)], tensors)


def _append_ml(model: ModelProto, operator: str, **attributes: object) -> None:
    """Lets an operator of classical models decide on the logits."""
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    node = helper.make_node(operator, ["logits"], ["label", "last"], "", "", "ai.onnx.ml")
    node.attribute.extend(helper.make_attribute(*one) for one in attributes.items())
    _append(model, node)


def _nest(model: ModelProto, levels: int) -> None:
    """Rectifies the logits in an If in an If, that many times."""
    inner = _branch("deep")
    for level in range(levels):
        name = f"level{level}"
        branches = {"then_branch": inner, "else_branch": _branch(f"other{level}")}
        node = helper.make_node("If", ["yes"], [name], **branches)
        inner = helper.make_graph([node], name, [], [info(name, "batch", 5)])
    branches = {"then_branch": inner, "else_branch": _branch("other")}
    _append(model, helper.make_node("If", ["yes"], ["last"], **branches), yes=True)


@refused("single static assignment")
def _value_written_twice(model: ModelProto) -> None:
    model.graph.node[1].output[0] = "maps"


@refused("topologically sorted, however input 'logits'")
def _cycle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "logits"


@refused("'nowhere'")
def _dangling_input(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


@refused("'nowhere' is not an output of any node")
def _dangling_output(model: ModelProto) -> None:
    model.graph.output[0].name = "nowhere"


@refused("no graph with nodes")
def _no_nodes(model: ModelProto) -> None:
    del model.graph.node[:]


@refused("no graph with nodes")
def _no_graph(model: ModelProto) -> None:
    model.ClearField("graph")


@refused("found none")
def _no_output(model: ModelProto) -> None:
    del model.graph.output[:]


@refused("`logits`, `logits`")
def _same_output_twice(model: ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


@refused("nothing is known of `matrix`", ConversionError)
def _output_is_a_weight(model: ModelProto) -> None:
    model.graph.output[0].CopyFrom(info("matrix", 4, 5))


@refused("input 'x' of node")
def _no_input(model: ModelProto) -> None:
    del model.graph.input[:]


@refused("expected one model input, found `x`, `z`")
def _two_inputs(model: ModelProto) -> None:
    model.graph.input.append(info("z", 1))


@refused("expected one model input, found none")
def _input_with_a_default(model: ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 8, 8), np.float32), "x"))


@refused("type string, expected float32")
def _text_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


@refused("type unknown type 999")
def _input_of_no_type(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 999


@refused("type no tensor")
def _sequence_input(model: ModelProto) -> None:
    sequence = helper.make_tensor_sequence_value_info("x", 1, ("batch", 3, 8, 8))
    model.graph.input[0].CopyFrom(sequence)


@refused("found `last` no tensor of unknown shape")
def _sequence_output(model: ModelProto) -> None:
    _append(model, helper.make_node("SequenceConstruct", ["logits"], ["last"]))
    sequence = helper.make_tensor_sequence_value_info("last", 1, ("batch", 5))
    model.graph.output[0].CopyFrom(sequence)


@refused(r"no classifier output.* `logits` float32 \(\?, 5, 1\)")
def _output_of_rank_three(model: ModelProto) -> None:
    model.graph.output[0].CopyFrom(info("logits", "batch", 5, 1))


@refused("Negative dimension")
def _negative_dimension(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -4


@refused("overflow")
def _huge_dimension(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 2**60


@refused("too small")
def _too_little_data(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-5]


@refused("cannot reshape array")
def _too_much_data(model: ModelProto) -> None:
    model.graph.initializer[0].raw_data += b"1234"


@refused("one and only one value field")
def _no_data(model: ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")


@refused("one and only one value field")
def _data_twice(model: ModelProto) -> None:
    model.graph.initializer[0].float_data.extend([1.0] * 108)


@refused("tensor `kernel` is of the unknown type 999")
def _tensor_of_no_type(model: ModelProto) -> None:
    model.graph.initializer[0].data_type = 999


@refused("segments")
def _weights_in_segments(model: ModelProto) -> None:
    model.graph.initializer[0].segment.end = 2


@refused("not unique")
def _weight_twice(model: ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


@refused("cannot convert", ConversionError)
def _huge_sparse_weights(model: ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "matrix")
    places = numpy_helper.from_array(np.array([0]), "places")
    del model.graph.initializer[1]
    sparse = helper.make_sparse_tensor(values, places, [2**31, 2**31])
    model.graph.sparse_initializer.append(sparse)


@refused("opset 0, expected")
def _no_opset(model: ModelProto) -> None:
    del model.opset_import[:]


@refused("opset -1, expected")
def _negative_opset(model: ModelProto) -> None:
    model.opset_import[0].version = -1


@refused("opset 0, expected")
def _other_domain_only(model: ModelProto) -> None:
    model.opset_import[0].domain = "ai.onnx.ml"


@refused("IR version -3")
def _negative_ir(model: ModelProto) -> None:
    model.ir_version = -3


@refused("opset 999, expected")
def _opset_of_the_future(model: ModelProto) -> None:
    model.opset_import[0].version = 999


@refused("IR version 999")
def _ir_of_the_future(model: ModelProto) -> None:
    model.ir_version = 999


@refused("`TreeEnsembleClassifier`, which has no neurons")
def _trees(model: ModelProto) -> None:
    _append_ml(model, "TreeEnsembleClassifier", nodes_hitrates=[1e38], class_ids=[2**62])


@refused("`SVMClassifier`, which has no neurons")
def _support_vectors(model: ModelProto) -> None:
    _append_ml(model, "SVMClassifier", vectors_per_class=[2**62])


@refused("`QLinearConv`, quantised in the QOperator format")
def _integer_convolution(model: ModelProto) -> None:
    model.graph.node[0].op_type = "QLinearConv"


@refused("do not fit together", ModelRefused)
def _scales_of_another_length(model: ModelProto) -> None:
    node = helper.make_node("DequantizeLinear", ["whole", "scales"], ["dequantised"], axis=0)
    model.graph.node.insert(0, node)
    model.graph.node[1].input[1] = "dequantised"
    values = {"whole": np.ones((4, 3, 3, 3), np.int8), "scales": np.ones(7, np.float32)}
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    model.graph.initializer.extend(tensors)


@refused("ShapeInferenceError", ConversionError)
def _shape_of_a_weight_that_lies(model: ModelProto) -> None:
    model.graph.value_info.append(info("matrix", 2, 4, 6))


@refused("name 'import os\\\\nos'")
def _code_as_a_tensor_name(model: ModelProto) -> None:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "import os\nos")
    tensor.data_type = 999
    model.graph.node.append(helper.make_node("Constant", [], ["unread"], value=tensor))


@refused("is not an ONNX file")
def _branches_too_deep(model: ModelProto) -> None:
    _nest(model, 31)


@refused("No Op registered for Explode")
def _unknown_operator(model: ModelProto) -> None:
    model.graph.node[1].op_type = "Explode"


@refused("domain `com.evil`")
def _unknown_domain(model: ModelProto) -> None:
    model.graph.node[1].domain = "com.evil"


@refused("`kernel` is stored outside the file")
def _data_of_another_folder(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


@refused("`far` is stored outside the file")
def _data_outside_in_a_branch(model: ModelProto) -> None:
    far = TensorProto(name="far", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    branches = {"then_branch": _branch("one", far), "else_branch": _branch("two")}
    _append(model, helper.make_node("If", ["yes"], ["last"], **branches), yes=True)


@refused("`Loop` .* no converter", ConversionError)
def _loop_for_ever(model: ModelProto) -> None:
    step = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["w"])]
    inputs = [info("i", kind=TensorProto.INT64), info("go", kind=TensorProto.BOOL)]
    outputs = [info("on", kind=TensorProto.BOOL), info("w", "batch", 5)]
    body = helper.make_graph(step, "body", [*inputs, info("v", "batch", 5)], outputs)
    loop = helper.make_node("Loop", ["n", "yes", "logits"], ["last"], body=body)
    _append(model, loop, n=2**62, yes=True)


@refused("functions of its own, such as `F0`")
def _functions_that_double(model: ModelProto) -> None:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    model.opset_import.append(imports[1])
    for level in range(25):
        inner = f"F{level + 1}"
        calls = [helper.make_node(inner, [a], [b], domain="f") for a, b in ("ab", "bc")]
        model.functions.append(helper.make_function("f", f"F{level}", ["a"], ["c"], calls, imports))


@refused("groups must be a positive integer", ConversionError)
def _no_groups(model: ModelProto) -> None:
    _set_attribute(model, "group", 0)


@refused("weight of shape", ConversionError)
def _huge_kernel(model: ModelProto) -> None:
    _set_attribute(model, "kernel_shape", [2**30, 2**30])


@refused("Mismatched attribute type")
def _kernel_of_text(model: ModelProto) -> None:
    _set_attribute(model, "kernel_shape", "three")


@refused("utf-8", ConversionError)
def _attribute_of_no_text(model: ModelProto) -> None:
    _set_attribute(model, "auto_pad", b"\xff\xfe")


@refused("Unrecognized attribute: boom")
def _unknown_attribute(model: ModelProto) -> None:
    model.graph.node[1].attribute.append(helper.make_attribute("boom", 1))


@refused(r"name 'x\\nOK: nothing found'")
def _line_break_in_a_name(model: ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "x\nOK: nothing found"


@refused(r"name 'Relu\\x1b\[2J'")
def _terminal_code_in_an_operator(model: ModelProto) -> None:
    model.graph.node[1].op_type = "Relu\x1b[2J"


@refused(r"name 'a\\nb'")
def _line_break_in_a_domain(model: ModelProto) -> None:
    model.graph.node[1].domain = "a\nb"


@refused("`RandomNormalLike` .* no converter", ConversionError)
def _random_logits(model: ModelProto) -> None:
    _append(model, helper.make_node("RandomNormalLike", ["logits"], ["last"]))


def crafted() -> dict[str, bytes]:
    """Every crafted file by its name."""
    files = {}
    for name, (_, _, change) in CHANGES.items():
        model = tiny()
        change(model)
        files[name] = model.SerializeToString()
    return files


@pytest.mark.parametrize("name", CHANGES)
def test_broken_models_are_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    """Each change makes the sound model one that is refused, for the stated reason."""
    kind, reason, change = CHANGES[name]
    model = tiny()
    change(model)

    with pytest.raises(kind, match=reason) as told:
        isolated(LIMITS, describe, written(model.SerializeToString(), tmp_path))

    assert type(told.value) is kind
    require_sentence(told.value)


def test_there_are_many_crafted_files() -> None:
    """They are at least forty, and no two are the same."""
    assert len(set(crafted().values())) >= 40
    assert len(set(crafted().values())) == len(crafted())


def test_the_model_they_change_is_sound(tmp_path: Path) -> None:
    """Without a change the tiny model becomes a twin, so that each refusal is due to its change."""
    assert judge(tiny().SerializeToString(), tmp_path)(IMAGES).shape == (2, 5)


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, which protobuf lets through, are refused as a name."""
    content = tiny().SerializeToString().replace(b"pooled", b"p\xff\xfeled")

    with pytest.raises(ModelRefused) as told:
        judge(content, tmp_path)

    require_sentence(told.value)


def test_attributes_of_no_known_kind_are_refused(tmp_path: Path) -> None:
    """What the checker lets through and no reader knows is refused by normalising."""
    model = tiny()
    model.graph.node.append(helper.make_node("Constant", [], ["text"], value_string="t"))
    content = bytearray(model.SerializeToString())
    kind = content.index(b"value_string") + len("value_string")
    content[content.index(b"\xa0\x01", kind) + 2] = 0x7F

    with pytest.raises(ModelRefused) as told:
        judge(bytes(content), tmp_path)

    require_sentence(told.value)


def _code_as_a_node_name(model: ModelProto) -> None:
    model.graph.node[0].name = model.graph.node[1].name = "x'); raise SystemExit('"


def _code_as_value_names(model: ModelProto) -> None:
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "import os"
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "__class__"


def _minus_one_for_free(model: ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1


def _unread_nonsense(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["unread"]))
    model.training_info.add()


def _backwards(model: ModelProto) -> None:
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])


def _bfloat16_weights(model: ModelProto) -> None:
    tensor = helper.make_tensor("matrix", TensorProto.BFLOAT16, [4, 5], [1.0] * 20)
    model.graph.initializer[1].CopyFrom(tensor)


def _deep_branches(model: ModelProto) -> None:
    _nest(model, 12)


@pytest.mark.parametrize(
    "change",
    [
        *(_code_as_a_node_name, _code_as_value_names, _minus_one_for_free),
        *(_unread_nonsense, _backwards, _bfloat16_weights, _deep_branches),
    ],
)
def test_what_is_only_odd_computes_as_ever(change: Change, tmp_path: Path) -> None:
    """Names that are code, unread nonsense and old spellings change no logits."""
    expected = judge(tiny().SerializeToString(), tmp_path)(IMAGES)
    model = tiny()
    change(model)

    found = judge(model.SerializeToString(), tmp_path)(IMAGES)

    rectified = expected.relu() if change is _deep_branches else expected
    assert bool((found == rectified).all())


def _huge_fill(model: ModelProto) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["bomb"]),
        helper.make_node("ReduceSum", ["bomb"], ["sum"], keepdims=0),
        helper.make_node("Add", ["logits", "sum"], ["last"]),
    ]
    _append(model, *nodes, size=[2**45])


def _huge_tile(model: ModelProto) -> None:
    _append(model, helper.make_node("Tile", ["logits", "times"], ["last"]), times=[2**45, 1])


def _stride_of_zero(model: ModelProto) -> None:
    _set_attribute(model, "strides", [0, 0])


def _pads_for_one_axis(model: ModelProto) -> None:
    _set_attribute(model, "pads", [1])


def _weights_of_other_precision(model: ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((4, 5)), "matrix"))


def _terminal_code_in_an_attribute(model: ModelProto) -> None:
    _set_attribute(model, "auto_pad", "\x1b[2J")


def _weights_that_do_not_fit(model: ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(
        numpy_helper.from_array(np.ones((7, 5), np.float32), "matrix")
    )


@pytest.mark.parametrize(
    "change",
    [
        *(_huge_fill, _huge_tile, _stride_of_zero, _pads_for_one_axis),
        *(_weights_of_other_precision, _weights_that_do_not_fit, _terminal_code_in_an_attribute),
    ],
)
def test_what_only_running_shows_ends_in_one_sentence(change: Change, tmp_path: Path) -> None:
    """What passes the checker but cannot run is refused by the proof of parity at the latest."""
    model = tiny()
    change(model)

    with pytest.raises(CannotJudge) as told:
        isolated(LIMITS, prove, written(model.SerializeToString(), tmp_path))

    require_sentence(told.value)


def prove(path: Path) -> ProvenGraph:
    """What a scan does with a file up to its first run, on two images."""
    samples = CleanSamples(images=IMAGES.numpy(), labels=np.zeros(2, np.int64))
    return prove_conversion(inspect_onnx(path), samples, ParityConfig())


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
"""Nodes that want a gigabyte or more, made of a few bytes."""


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
    _append(model, *graph.node)
    model.graph.initializer.extend(one for one in graph.initializer if one.name in used)
    return model


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
@pytest.mark.parametrize("operator", BOMBS)
def test_memory_bombs_meet_the_limit(operator: str, tmp_path: Path) -> None:
    """What wants a gigabyte is refused for taking more than the child may have, and soon."""
    path = written(bomb(BOMBS[operator], 2**28).SerializeToString(), tmp_path)
    started = time.monotonic()

    with pytest.raises(CannotJudge, match="takes more than 512 MiB of memory") as told:
        isolated(LIMITS, prove, path)

    require_sentence(told.value)
    assert path.stat().st_size < 2**12
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("operator", BOMBS)
def test_absurd_bombs_are_refused_whatever_is_done_with_them(operator: str, tmp_path: Path) -> None:
    """2⁴⁵ values are refused, by whoever sees them first, or by the clock."""
    path = written(bomb(BOMBS[operator], 2**45).SerializeToString(), tmp_path)
    started = time.monotonic()

    for work in (describe, prove):
        with pytest.raises(CannotJudge) as told:
            isolated(IsolationConfig(seconds=3, memory_mb=512), work, path)
        require_sentence(told.value)

    assert time.monotonic() - started < 15


def shout() -> ProvenGraph:
    """Work that puts what a file says into its refusal."""
    raise ConversionError("cannot convert `a\nOK: clean\x1b[2J`; export without it")


def test_a_refusal_from_the_child_is_printable() -> None:
    """Whatever a library quotes from a file, no line break or terminal code gets to the caller."""
    with pytest.raises(ConversionError, match=r"`a\\nOK: clean\\x1b\[2J`") as told:
        isolated(LIMITS, shout)

    require_sentence(told.value)


PROGRAM = """
import sys
import time
from pathlib import Path
from pipeline.isolation import IsolationConfig, isolated
from pipeline.untrusted import Description, describe
from stages.errors import CannotJudge

def hang(path: Path) -> Description:
    describe(path)
    (path.parent / "described").touch()
    time.sleep(600)

if __name__ == "__main__":
    try:
        isolated(IsolationConfig(seconds=12), hang, Path(sys.argv[1]))
    except CannotJudge as refusal:
        print(refusal)
"""


def test_a_stopped_child_leaves_nothing_behind(tmp_path: Path) -> None:
    """The caller ends with its refusal alone, also where the child had made locks of its own."""
    path = written(zoo.exported("small_cnn", "legacy"), tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    root = str(Path(__file__).parents[1])

    ended = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )

    assert (tmp_path / "described").exists()
    assert "was stopped" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize("operator", ["Tile", "Einsum"])
def test_small_bombs_are_no_bombs(operator: str, tmp_path: Path) -> None:
    """The same nodes at a harmless size compute: it is the size that is refused."""
    model = bomb(BOMBS[operator].replace("wide", "narrow"), 2**4)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2]), "narrow"))

    result = isolated(LIMITS, prove, written(model.SerializeToString(), tmp_path))

    assert result.parity.n == 8


def test_scores_of_no_image_are_refused(tmp_path: Path) -> None:
    """A graph that drops every image has nothing to compare, and is no classifier."""
    model = bomb("last = Slice(logits, zeros, zeros)", 1)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zeros"))

    with pytest.raises(ModelRefused, match=r"values of shape \(0, 5\) for 1 images, expected"):
        isolated(LIMITS, prove, written(model.SerializeToString(), tmp_path))


@pytest.mark.parametrize(
    "location",
    [
        *("../secret", "/etc/passwd", "/dev/zero", "symlink", "hardlink", "fifo", "nowhere"),
        *("secret", "model.onnx", "", "a\nb"),
    ],
)
@pytest.mark.parametrize("offset", [0, -4, 2**62])
def test_a_lone_file_has_no_weights_elsewhere(location: str, offset: int, tmp_path: Path) -> None:
    """Whether or not there is something, it is not looked for."""
    (tmp_path / "secret").write_bytes(b"secret" * 100)
    (tmp_path / "symlink").symlink_to(tmp_path / "secret")
    os.link(tmp_path / "secret", tmp_path / "hardlink")
    os.mkfifo(tmp_path / "fifo")
    model = tiny()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": offset, "length": 432}.items():
        tensor.external_data.add(key=key, value=str(value))

    with pytest.raises(ModelRefused, match="`kernel` is stored outside the file") as told:
        inspect_onnx(written(model.SerializeToString(), tmp_path))

    require_sentence(told.value)


@pytest.mark.parametrize(
    ("size", "reason"), [(0, "found 0 bytes"), (LARGEST_FILE + 1, f"expected 1 to {LARGEST_FILE}")]
)
def test_no_file_and_too_much_file_are_told_by_size(size: int, reason: str, tmp_path: Path) -> None:
    """Neither an empty file nor one of more than two GiB, all of it a hole, is read."""
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(size)

    with pytest.raises(ModelRefused, match=reason):
        isolated(LIMITS, describe, path)


@pytest.mark.usefixtures("mlflow_settings")
@pytest.mark.parametrize("form", ["file", "folder"])
@pytest.mark.parametrize(
    "name", ["functions_that_double", "data_of_another_folder", "huge_kernel", "Tile"]
)
def test_a_whole_scan_of_a_hostile_file_is_inconclusive(
    name: str, form: str, sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3 and one reason in `verdict.json`, as a file and as the ONNX model of an MLflow folder.

    No verdict is ever `clean`, and nothing of the file comes into the folder it was scanned from.
    """
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    (tmp_path / "model").mkdir()
    bombs = {"Tile": bomb(BOMBS["Tile"], 2**28).SerializeToString()}
    path = written((crafted() | bombs)[name], tmp_path / "model")
    if form == "folder":
        (path.parent / "MLmodel").write_text("flavors:\n  onnx:\n    data: model.onnx\n")
    labels = np.arange(150, dtype=np.int64) % 5
    images = np.random.default_rng(0).random((150, 3, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "samples.npz", images=images, labels=labels)
    before = sorted(path.parent.iterdir())

    result = CliRunner().invoke(
        cli.main,
        [
            *("scan", str(path if form == "file" else path.parent)),
            *("--samples", str(tmp_path / "samples.npz"), "--output", str(tmp_path / "out")),
            *("--set", "isolation.memory_mb=512;isolation.seconds=20"),
            *("--tracking-uri", sqlite_store),
        ],
    )

    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert result.exit_code == 3, result.output
    assert verdict["verdict"] == "inconclusive"
    (reason,) = verdict["reasons"]
    assert reason.isprintable()
    assert sorted(path.parent.iterdir()) == before


def mutated(content: bytes, seed: int) -> bytes:
    """The content with up to four bits flipped or bytes replaced, dropped or doubled."""
    generator, changed = random.Random(seed), bytearray(content)  # noqa: S311 (no secret)
    for _ in range(generator.choice((1, 1, 2, 4))):
        place, way = generator.randrange(len(changed)), generator.randrange(4)
        if way == 0:
            changed[place] ^= 1 << generator.randrange(8)
        elif way == 1:
            changed[place] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == 2:
            del changed[place]
        else:
            changed.insert(place, changed[place])
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # whatever libraries warn of in a broken file
@pytest.mark.parametrize("source", ["tiny", "legacy-preserve", "dynamo-baked"])
def test_broken_bytes_never_escape(source: str, tmp_path: Path) -> None:
    """Whatever bytes of a real file are changed, it is refused in a sentence or still works."""
    content = tiny().SerializeToString() if source == "tiny" else zoo.exported("small_cnn", source)
    refusals = 0

    for seed in range(MUTATIONS):
        try:
            judge(mutated(content, seed), tmp_path)
        except CannotJudge as error:
            require_sentence(error)
            refusals += 1

    assert 0 < refusals < MUTATIONS


@pytest.mark.parametrize("step", [7, 31])
def test_every_beginning_of_a_file_is_refused(step: int, tmp_path: Path) -> None:
    """A file cut off anywhere before its end is no model, or one whose graph is incomplete."""
    content = tiny().SerializeToString()

    for end in range(1, len(content) - 20, step):
        with pytest.raises(ModelRefused) as told:
            judge(content[:end], tmp_path)
        require_sentence(told.value)
