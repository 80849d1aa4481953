"""Files that lie, break the format or attack, each made of the tiny model by one change.

`CHANGES` holds for each the class of its refusal and what the refusal must say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.errors import CannotJudge, ConversionError, ModelRefused
from tests.support.tiny_model import append, branch, info, nest, set_attribute, tiny

Change = Callable[[ModelProto], None]

CHANGES: dict[str, tuple[type[CannotJudge], str, Change]] = {}


def refused(reason: str, kind: type[CannotJudge] = ModelRefused) -> Callable[[Change], Change]:
    """Notes a change that makes the tiny model one that is refused for that reason."""

    def note(change: Change) -> Change:
        CHANGES[change.__name__.strip("_")] = (kind, reason, change)
        return change

    return note


def _append_ml(model: ModelProto, operator: str, **attributes: object) -> None:
    """Lets an operator of classical models decide on the logits."""
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    node = helper.make_node(operator, ["logits"], ["label", "last"], "", "", "ai.onnx.ml")
    node.attribute.extend(helper.make_attribute(*one) for one in attributes.items())
    append(model, node)


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
    append(model, helper.make_node("SequenceConstruct", ["logits"], ["last"]))
    sequence = helper.make_tensor_sequence_value_info("last", 1, ("batch", 5))
    model.graph.output[0].CopyFrom(sequence)


@refused(r"no classifier output.* `logits` float32 \(\?, 5, 2\)")
def _output_of_rank_three(model: ModelProto) -> None:
    model.graph.output[0].CopyFrom(info("logits", "batch", 5, 2))


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


@refused("`kernel` does not hold the 108 numbers of its shape")
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
    nest(model, 31)


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
    branches = {"then_branch": branch("one", far), "else_branch": branch("two")}
    append(model, helper.make_node("If", ["yes"], ["last"], **branches), yes=True)


@refused("`Loop` .* no converter", ConversionError)
def _loop_for_ever(model: ModelProto) -> None:
    step = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["w"])]
    inputs = [info("i", kind=TensorProto.INT64), info("go", kind=TensorProto.BOOL)]
    outputs = [info("on", kind=TensorProto.BOOL), info("w", "batch", 5)]
    body = helper.make_graph(step, "body", [*inputs, info("v", "batch", 5)], outputs)
    loop = helper.make_node("Loop", ["n", "yes", "logits"], ["last"], body=body)
    append(model, loop, n=2**62, yes=True)


@refused("functions written out are 67108867 nodes")
def _functions_that_double(model: ModelProto) -> None:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    model.opset_import.append(imports[1])
    for level in range(25):
        inner = f"F{level + 1}"
        calls = [helper.make_node(inner, [a], [b], domain="f") for a, b in ("ab", "bc")]
        model.functions.append(helper.make_function("f", f"F{level}", ["a"], ["c"], calls, imports))
    model.graph.node[1].op_type, model.graph.node[1].domain = "F0", "f"


@refused("groups must be a positive integer", ConversionError)
def _no_groups(model: ModelProto) -> None:
    set_attribute(model, "group", 0)


@refused("weight of shape", ConversionError)
def _huge_kernel(model: ModelProto) -> None:
    set_attribute(model, "kernel_shape", [2**30, 2**30])


@refused("Mismatched attribute type")
def _kernel_of_text(model: ModelProto) -> None:
    set_attribute(model, "kernel_shape", "three")


@refused("utf-8", ConversionError)
def _attribute_of_no_text(model: ModelProto) -> None:
    set_attribute(model, "auto_pad", b"\xff\xfe")


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
    append(model, helper.make_node("RandomNormalLike", ["logits"], ["last"]))


def crafted() -> dict[str, bytes]:
    """Every crafted file by its name."""
    files = {}
    for name, (_, _, change) in CHANGES.items():
        model = tiny()
        change(model)
        files[name] = model.SerializeToString()
    return files
