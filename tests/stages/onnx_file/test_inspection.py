"""Laws of inspection: what is accepted, and the one sentence for what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.errors import ModelRefused
from stages.onnx_file import inspection
from tests.support import zoo


def linear_model(
    *,
    opset: int = 17,
    input_type: int = TensorProto.FLOAT,
    input_shape: tuple[int | str, ...] = ("batch", 4),
    classes: int = 3,
    domain: str = "",
) -> ModelProto:
    """Logits = x·W for a constant W of ones."""
    weight = numpy_helper.from_array(np.ones((4, classes), np.float32), "weight")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["logits"], domain=domain)],
        "linear",
        [helper.make_tensor_value_info("x", input_type, input_shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", classes))],
        [weight],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, 1)] if domain else []
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def saved(model: ModelProto, folder: Path) -> Path:
    """The model's file."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_facts_of_a_file(tmp_path: Path) -> None:
    """The artifact states what the file holds: digest of its bytes, opset, shapes, float count."""
    path = saved(linear_model(), tmp_path)

    artifact = inspection.inspect_onnx(path)

    assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.digest
    assert (artifact.opset, artifact.parameters) == (17, 12)
    assert (*(artifact.input.name, artifact.input.shape, artifact.input.dtype),) == (
        "x",
        (None, 4),
        "float32",
    )
    assert (artifact.output.name, artifact.output.shape) == ("logits", (None, 3))


def test_parameters_count_constants_and_initializers_alike(tmp_path: Path) -> None:
    """A weight counts the same whether it is an initializer or a Constant node."""
    model = linear_model()
    weight = model.graph.initializer.pop()
    nodes = [helper.make_node("Constant", [], ["weight"], value=weight), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)

    assert inspection.inspect_onnx(saved(model, tmp_path)).parameters == 12


def test_output_shape_is_inferred(tmp_path: Path) -> None:
    """An output without a stated shape is accepted when its shape follows from the graph."""
    model = linear_model()
    model.graph.output[0].type.tensor_type.shape.dim[1].ClearField("dim_value")

    assert inspection.inspect_onnx(saved(model, tmp_path)).output.shape == (None, 3)


@pytest.mark.parametrize("exporter", zoo.EXPORTERS)
@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
def test_real_exports_are_accepted(architecture: str, exporter: str, tmp_path: Path) -> None:
    """Every export of every architecture is a classifier of 10 classes."""
    path = tmp_path / "model.onnx"
    path.write_bytes(zoo.exported(architecture, exporter))

    artifact = inspection.inspect_onnx(path)

    assert artifact.input.shape[1:] == zoo.IMAGE
    assert artifact.output.shape[1] == zoo.CLASSES


def _with_function(model: ModelProto) -> None:
    node = helper.make_node("Identity", ["a"], ["b"])
    function = helper.make_function(
        "", "Again", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]
    )
    model.functions.append(function)


def _with_external(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")


def _with_external_constant(model: ModelProto) -> None:
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    model.graph.node.append(helper.make_node("Constant", [], ["far"], value=tensor))


def _with_lie(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 400


def _with_second_input(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, (1, 4)))


def _with_a_weight_to_replace(model: ModelProto) -> None:
    info = helper.make_tensor_value_info("weight", TensorProto.FLOAT, (4, 3))
    model.graph.input.append(info)


def _with_second_scores(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("MatMul", ["x", "other"], ["shares"]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 3), np.float32), "other"))
    info = helper.make_tensor_value_info("shares", TensorProto.FLOAT, ("batch", 3))
    model.graph.output.append(info)


def _with_labels_only(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("ArgMax", ["logits"], ["labels"], axis=1))
    info = helper.make_tensor_value_info("labels", TensorProto.INT64, ("batch", 1))
    model.graph.output[0].CopyFrom(info)


def _with_future_ir(model: ModelProto) -> None:
    model.ir_version = 999


CHANGES: dict[str, tuple[Callable[[ModelProto], None], str]] = {
    "function": (_with_function, "a function `Again` among the standard operators"),
    "external": (_with_external, "`weight` is stored outside the file"),
    "external constant": (_with_external_constant, "`far` is stored outside the file"),
    "lie": (_with_lie, "checker refuses the model"),
    "two inputs": (_with_second_input, "expected one model input, found `x`, `other`"),
    "a weight that is an input": (_with_a_weight_to_replace, "such as `weight`, are inputs, too"),
    "two outputs": (_with_second_scores, "more than one output .* `logits`, `shares`"),
    "labels": (_with_labels_only, r"no classifier output: .* found `labels` int64 \(\?, 1\)"),
    "IR": (_with_future_ir, "IR version 999, expected 3 to"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_bad_models_are_refused(change: str, tmp_path: Path) -> None:
    """What cannot be judged or opened safely is refused with its reason."""
    apply, reason = CHANGES[change]
    model = linear_model()
    apply(model)

    with pytest.raises(ModelRefused, match=reason):
        inspection.inspect_onnx(saved(model, tmp_path))


def test_weights_of_an_old_file_are_constants(tmp_path: Path) -> None:
    """Up to IR version 3 every weight had to be an input, and nobody can give it another value."""
    model = linear_model(opset=8)
    _with_a_weight_to_replace(model)
    model.ir_version = 3

    assert inspection.inspect_onnx(saved(model, tmp_path)).input.name == "x"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (linear_model(opset=5), "opset 5, expected 6 to .* at opset 7 to 23"),
        (linear_model(opset=999), "opset 999, expected 6 to .* at opset 7 to 23"),
        (linear_model(domain="evil.corp"), "operators of domain `evil.corp`"),
        (
            linear_model(input_type=TensorProto.BOOL),
            "type bool, expected float32, float16, float64, uint8, int8, int32 or int64",
        ),
        (linear_model(input_shape=(4,)), r"shape \(4\), expected \(batch"),
        (linear_model(classes=1), r"shape \(\?, 1\), expected two classes"),
    ],
)
def test_unfit_models_are_refused(model: ModelProto, reason: str, tmp_path: Path) -> None:
    """Versions, domains, types and shapes outside the limits are named, found against expected."""
    with pytest.raises(ModelRefused, match=reason):
        inspection.inspect_onnx(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found 0 bytes"),
        (b"not a model", "is not an ONNX file"),
        (b"\x08\x08", "no graph with nodes"),
        (b"\x12\x02\xff\xfe\x08\x08", "is not an ONNX file"),
    ],
)
def test_other_files_are_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    """A file that is no ONNX model is called so."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(ModelRefused, match=reason):
        inspection.inspect_onnx(path)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    """A path without a file, and a folder, are no file."""
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(ModelRefused, match="it is no file"):
            inspection.inspect_onnx(path)


def test_huge_files_are_refused_unread(tmp_path: Path) -> None:
    """A file above the limit is refused by its size alone."""
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(inspection.LARGEST_FILE + 1)

    with pytest.raises(ModelRefused, match="expected 1 to"):
        inspection.inspect_onnx(path)


def test_truncated_exports_never_escape(tmp_path: Path) -> None:
    """A cut-off real file is refused, or accepted where only its end is missing, never a crash."""
    content = zoo.exported("small_cnn", "legacy")
    path = tmp_path / "model.onnx"
    for share in range(1, 20):
        path.write_bytes(content[: len(content) * share // 20])

        with pytest.raises(ModelRefused):
            inspection.inspect_onnx(path)


def test_load_proto_reads_the_model(tmp_path: Path) -> None:
    """Loading what was saved gives the same model."""
    model = linear_model()

    assert inspection.load_proto(saved(model, tmp_path)) == model
    onnx.checker.check_model(model)


def _with_sparse_outside(model: ModelProto) -> None:
    values = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1])
    values.data_location = TensorProto.EXTERNAL
    places = numpy_helper.from_array(np.array([0]), "places")
    sparse = helper.make_sparse_tensor(values, places, [2])
    model.graph.sparse_initializer.append(sparse)


def _with_sparse_constant_outside(model: ModelProto) -> None:
    _with_sparse_outside(model)
    sparse = model.graph.sparse_initializer.pop()
    model.graph.node.append(helper.make_node("Constant", [], ["far"], sparse_value=sparse))


@pytest.mark.parametrize("change", [_with_sparse_outside, _with_sparse_constant_outside])
def test_no_tensor_escapes_the_search(change: Callable[[ModelProto], None], tmp_path: Path) -> None:
    """Data outside the file is found in sparse tensors too."""
    model = linear_model()
    change(model)

    with pytest.raises(ModelRefused, match="`far` is stored outside the file"):
        inspection.inspect_onnx(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("size", "shape"), [(-1, (None, 4)), (None, (None, 4)), (2, (2, 4)), ("batch", (None, 4))]
)
def test_free_sizes_have_no_number(
    size: int | str | None, shape: tuple[int | None, ...], tmp_path: Path
) -> None:
    """A name, nothing and −1 all mean a free size."""
    model = linear_model()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, (size, 4)))

    assert inspection.inspect_onnx(saved(model, tmp_path)).input.shape == shape


@pytest.mark.parametrize(("name", "version"), [("tool", "1.2"), ("tool", ""), ("", "")])
def test_the_producer_is_what_the_file_says(name: str, version: str, tmp_path: Path) -> None:
    """Name and version of the exporter, as far as they are given, with one space between."""
    model = linear_model()
    model.producer_name, model.producer_version = name, version

    artifact = inspection.inspect_onnx(saved(model, tmp_path))

    assert artifact.producer == " ".join(part for part in (name, version) if part)


@pytest.mark.parametrize("place", ["producer_name", "node", "initializer", "function", "attribute"])
def test_names_on_several_lines_are_refused(place: str, tmp_path: Path) -> None:
    """No name can add a line to a message or report."""
    model, bad = linear_model(), "evil\nverdict: clean"
    if place == "producer_name":
        model.producer_name = bad
    elif place == "node":
        model.graph.node[0].name = bad
    elif place == "initializer":
        model.graph.initializer[0].name = bad
    elif place == "function":
        model.functions.add(name=bad)
    else:
        model.graph.node[0].attribute.add(name=bad)

    with pytest.raises(ModelRefused, match=r"evil\\nverdict: clean', expected printable") as told:
        inspection.inspect_onnx(saved(model, tmp_path))

    assert "\n" not in str(told.value)
