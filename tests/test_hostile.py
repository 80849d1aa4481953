"""Laws for files that lie, break the format or attack: each ends in one clear sentence.

A hostile file either is refused with a `CannotJudge` or works as the harmless model it is; nothing
else may come out of inspection, normalising, conversion and the first run, which happen in a child
process within small limits, as in a scan.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zoo
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import fx

from stages.convert import build_module
from stages.errors import CannotJudge, ConversionError, ModelRefused, ParityError
from stages.inspection import inspect_onnx, load_proto
from stages.normalise import normalise
from stages.parity import ParityConfig, prove_parity
from stages.types import CleanSamples

Change = Callable[[ModelProto], None]

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


@refused("single static assignment")
def _value_written_twice(model: ModelProto) -> None:
    model.graph.node[1].output[0] = "maps"


@refused("topologically sorted, however input 'logits'")
def _cycle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "logits"


@refused("topologically sorted")
def _backwards(model: ModelProto) -> None:
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])


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


@refused("type int64, expected float32")
def _integer_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


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


@refused("cannot reshape array", ConversionError)
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


@refused("bfloat16", ConversionError)
def _bfloat16_weights(model: ModelProto) -> None:
    tensor = helper.make_tensor("matrix", TensorProto.BFLOAT16, [4, 5], [1.0] * 20)
    model.graph.initializer[1].CopyFrom(tensor)


@refused("segments", ConversionError)
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


def _deep_branches(model: ModelProto) -> None:
    inner = _branch("deep")
    for level in range(12):
        name = f"level{level}"
        branches = {"then_branch": inner, "else_branch": _branch(f"other{level}")}
        node = helper.make_node("If", ["yes"], [name], **branches)
        inner = helper.make_graph([node], name, [], [info(name, "batch", 5)])
    branches = {"then_branch": inner, "else_branch": _branch("other")}
    _append(model, helper.make_node("If", ["yes"], ["last"], **branches), yes=True)


@pytest.mark.parametrize(
    "change",
    [
        *(_code_as_a_node_name, _code_as_value_names, _minus_one_for_free),
        *(_unread_nonsense, _deep_branches),
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


def _weights_that_do_not_fit(model: ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(
        numpy_helper.from_array(np.ones((7, 5), np.float32), "matrix")
    )


@pytest.mark.parametrize(
    "change",
    [
        *(_huge_fill, _huge_tile, _stride_of_zero, _pads_for_one_axis),
        *(_weights_of_other_precision, _weights_that_do_not_fit),
    ],
)
def test_what_only_running_shows_ends_in_one_sentence(change: Change, tmp_path: Path) -> None:
    """What passes the checker but cannot run is refused by the proof of parity at the latest."""
    model = tiny()
    change(model)
    samples = CleanSamples(images=IMAGES.numpy(), labels=np.zeros(2, np.int64))

    def prove() -> None:
        module = judge(model.SerializeToString(), tmp_path)
        artifact = inspect_onnx(tmp_path / "model.onnx")
        prove_parity(artifact, module, samples, ParityConfig())

    with pytest.raises((ModelRefused, ConversionError, ParityError)) as told:
        prove()

    require_sentence(told.value)


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
