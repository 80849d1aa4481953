"""Decides whether a file is an ONNX classifier that is safe to open, before anything runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no types
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from stages.class_names import stated_names
from stages.errors import ModelRefused
from stages.onnx_file import other_formats
from stages.onnx_file.content_digest import content_digest
from stages.onnx_file.functions import inline_functions
from stages.onnx_file.graph_logic import find_graph_logic
from stages.onnx_file.imports import DOMAINS, drop_unused_imports, used_domains
from stages.onnx_file.one_probability import write_both
from stages.onnx_file.outputs import Judged, judged_output
from stages.onnx_file.precision import require_one_precision
from stages.onnx_file.tensor_specs import show, spec_of
from stages.onnx_file.whole_tensors import require_whole
from stages.passes import sort_nodes
from stages.passes.cut_to_logits import keep_output
from stages.passes.known_opset import NEWEST_OPSET, OLDEST_OPSET
from stages.passes.onnx_graph import FLOATS, all_graphs, graph_inputs, opset
from stages.passes.score_tail import class_count
from stages.stage import stage
from stages.types import OnnxArtifact, TensorSpec

LARGEST_FILE = 2 * 1024**3  # bytes; protobuf cannot serialise more
OLDEST_READABLE = 6
NEWEST_READABLE = min(26, onnx.defs.onnx_opset_version())
"""Opsets that onnxruntime 1.31 can run, if not every operator of the oldest."""
NEWEST_IR = min(13, onnx.IR_VERSION)
_WEIGHTS_AS_INPUTS = 4
"""The IR version from which on a weight that is an input is only a default; before, all were."""
DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int32", "int64")
"""Types of the model's input; onnxruntime takes no bfloat16 from numpy."""
WITHOUT_NEURONS = frozenset(
    [
        *("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"),
        *("SVMClassifier", "SVMRegressor"),
    ]
)
"""Operators that are a whole classifier without a layer to perturb."""

_NUMBERS = FLOATS | {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4}
_LONGEST_REASON = 300  # characters of the checker's message
_UNREADABLE = (DecodeError, UnicodeDecodeError, ValueError, TypeError, RuntimeError)


@stage(version=6)
def inspect_onnx(path: Path, output: str = "") -> OnnxArtifact:
    """The facts about an ONNX classifier with one float input and scores (batch, classes).

    `output` names the output to judge; without it there is one from which all others follow.

    Raises:
        ModelRefused: the file is not such a classifier, or is not safe to open.
    """
    content = _read(path)
    model = _parse(content, path.name)
    require_plain(model)
    _require_weights_inside(model)
    _require_versions(model)
    _require_valid(model)
    require_whole(tensors(model.graph))
    require_one_precision(model)
    content_of_file = content_digest(model)
    write_both(model)
    source, judged = _one_input(model), judged_output(model, output)
    _require_fixed_weights(model)
    return OnnxArtifact(
        path=path,
        framework="onnx",
        producer=" ".join(part for part in (model.producer_name, model.producer_version) if part),
        digest=hashlib.sha256(content).hexdigest(),
        content_digest=content_of_file,
        opset=opset(model),
        parameters=_count_parameters(model),
        input=source,
        output=_scores(judged),
        peeled=judged.peeled,
        unscanned=judged.others,
        findings=find_graph_logic(model),
        class_names=stated_names({each.key: each.value for each in model.metadata_props}),
    )


def load_proto(path: Path) -> ModelProto:
    """The model in an ONNX file, with its functions written out; other files are not read.

    Imports that nothing uses are dropped.

    Raises:
        ModelRefused: there is no such file, it is not an ONNX model, or its functions cannot be
            written out.
    """
    return _parse(_read(path), path.name)


def load_scored(artifact: OnnxArtifact) -> ModelProto:
    """The model in an artifact's file with the one output that is judged, of two classes or more.

    Raises:
        ModelRefused: there is no such file, or it is not an ONNX model.
    """
    model = load_proto(artifact.path)
    write_both(model)
    keep_output(model, artifact.output.name)
    return model


def require_readable(path: Path) -> None:
    """Raises unless the path is a plain file of a size that can be read.

    Raises:
        ModelRefused: the file is missing, not a plain file, empty, or too large.
    """
    if not path.is_file():
        raise ModelRefused(f"cannot read `{path}`: it is no file; give the path of an ONNX file")
    size = path.stat().st_size
    if not 0 < size <= LARGEST_FILE:
        raise ModelRefused(
            f"cannot read `{path.name}`: found {size} bytes, expected 1 to {LARGEST_FILE}; "
            "export the model again into one file"
        )


def _read(path: Path) -> bytes:
    """The bytes of a file that is neither empty nor too large."""
    require_readable(path)
    return path.read_bytes()


def _parse(content: bytes, name: str) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except _UNREADABLE as error:
        raise ModelRefused(_no_onnx(content, name, "; export the model again")) from error
    if not model.HasField("graph") or not model.graph.node:
        raise ModelRefused(_no_onnx(content, name, ": it has no graph with nodes"))
    if model.functions:
        require_plain(model)
        inline_functions(model)
    sort_nodes.apply(model)
    drop_unused_imports(model)
    return model


def _no_onnx(content: bytes, name: str, otherwise: str) -> str:
    return other_formats.named(content, name) or f"`{name}` is not an ONNX file{otherwise}"


def require_plain(model: ModelProto) -> None:
    """Raises if a model has names that cannot be shown.

    Names appear in messages and reports, where a line break could fake another line. Protobuf
    returns a name as bytes if it is not UTF-8.

    Raises:
        ModelRefused: it has such a name.
    """
    for name in _names(model):
        if isinstance(name, bytes) or not name.isprintable():
            raise ModelRefused(
                f"the model uses the name {name[:60]!r}, expected printable characters; "
                "export it with plain names"
            )


def _names(model: ModelProto) -> Iterator[str | bytes]:
    """What the file calls itself, its graphs' values, nodes and operators, and its functions."""
    yield from (model.producer_name, model.producer_version)
    yield from (imported.domain for imported in model.opset_import)
    for one in model.functions:
        yield from (one.name, one.domain)
    yield from (one.name for one in tensors(model.graph))
    for part in all_graphs(model.graph):
        yield from (one.name for one in (*part.input, *part.output))
        for node in part.node:
            yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
            yield from (attribute.name for attribute in node.attribute)


def _require_weights_inside(model: ModelProto) -> None:
    """A tensor stored outside the file would be read from another file."""
    for tensor in tensors(model.graph):
        if tensor.data_type not in TensorProto.DataType.values():
            raise ModelRefused(
                f"tensor `{tensor.name}` is of the unknown type {tensor.data_type}; "
                "export the model with a current exporter"
            )
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ModelRefused(
                f"tensor `{tensor.name}` is stored outside the file; "
                "export the model with its weights inside"
            )


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor in a graph, also those in subgraphs, constants and sparse tensors."""
    for part in all_graphs(graph):
        yield from part.initializer
        for sparse in part.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in part.node:
            for attribute in node.attribute:
                yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)


def _require_neurons(model: ModelProto) -> None:
    """Trees and support vectors have no layers, and QOperator files hide theirs."""
    for node in (node for graph in all_graphs(model.graph) for node in graph.node):
        if node.op_type in WITHOUT_NEURONS:
            raise ModelRefused(
                f"the model decides by `{node.op_type}`, which has no neurons to perturb; "
                "only neural networks can be scanned"
            )
        if node.op_type.startswith("QLinear"):
            raise ModelRefused(
                f"the model computes with `{node.op_type}`, quantised in the QOperator format; "
                "quantise it in the QDQ format (`QuantFormat.QDQ`)"
            )


def _require_versions(model: ModelProto) -> None:
    _require_neurons(model)
    if not 3 <= model.ir_version <= NEWEST_IR:
        raise ModelRefused(
            f"cannot read ONNX IR version {model.ir_version}, expected 3 to {NEWEST_IR}; "
            "export the model with a current exporter"
        )
    for domain in sorted(used_domains(model)):
        if domain not in DOMAINS:
            raise ModelRefused(
                f"the model uses operators of domain `{domain}`; export it with standard operators"
            )
    if not OLDEST_READABLE <= opset(model) <= NEWEST_READABLE:
        raise ModelRefused(
            f"cannot read opset {opset(model)}, expected {OLDEST_READABLE} to {NEWEST_READABLE}; "
            f"export the model at opset {OLDEST_OPSET} to {NEWEST_OPSET}"
        )


def _require_valid(model: ModelProto) -> None:
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, *_UNREADABLE) as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise ModelRefused(
            f"the ONNX checker refuses the model: {reason[:_LONGEST_REASON]}"
        ) from error


def _require_fixed_weights(model: ModelProto) -> None:
    """Since IR version 4 whoever calls the model may give another value for such a weight."""
    weights = {tensor.name for tensor in model.graph.initializer}
    given = [value.name for value in model.graph.input if value.name in weights]
    if given and model.ir_version >= _WEIGHTS_AS_INPUTS:
        raise ModelRefused(
            f"{len(given)} of the weights, such as `{given[0]}`, are inputs, too, so whoever calls"
            " the model may replace them; export it with `keep_initializers_as_inputs=False`, or"
            " take them out of the graph's inputs"
        )


def _one_input(model: ModelProto) -> TensorSpec:
    inputs = graph_inputs(model.graph)
    if len(inputs) != 1:
        names = ", ".join(f"`{value.name}`" for value in inputs) or "none"
        raise ModelRefused(f"expected one model input, found {names}; export a plain classifier")
    spec = spec_of(inputs[0])
    if spec.dtype not in DTYPES:
        raise ModelRefused(
            f"input `{spec.name}` has type {spec.dtype}, expected {', '.join(DTYPES[:-1])} or "
            f"{DTYPES[-1]}; export at float32"
        )
    if len(spec.shape) < 2:
        raise ModelRefused(
            f"input `{spec.name}` has shape {show(spec.shape)}, expected (batch, …) of rank 2 or "
            "more; export the model with a batch axis"
        )
    return spec


def _scores(judged: Judged) -> TensorSpec:
    """The judged scores, of two classes or more."""
    spec = spec_of(judged.scores)
    classes = class_count(judged.scores)
    if len(spec.shape) == 2:
        classes = spec.shape[1]
    if classes is not None and classes < 2:
        raise ModelRefused(
            f"output `{spec.name}` has shape {show(spec.shape)}, expected two classes or more, or"
            " the probability of the second of two behind a Sigmoid"
        )
    return replace(spec, shape=(spec.shape[0], classes))


def _count_parameters(model: ModelProto) -> int:
    """How many floats, or whole numbers in the place of floats, the file contains."""
    tensors = [tensor for graph in all_graphs(model.graph) for tensor in graph.initializer]
    for graph in all_graphs(model.graph):
        constants = (node for node in graph.node if node.op_type == "Constant")
        tensors += [one.t for node in constants for one in node.attribute if one.HasField("t")]
    return sum(prod(tensor.dims) for tensor in tensors if tensor.data_type in _NUMBERS)
