"""A TensorFlow function becomes ONNX through tf2onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tf2onnx  # type: ignore[import-not-found] # lives with TensorFlow
from tensorflow.python.framework.convert_to_constants import (  # type: ignore[import-untyped] # has no types
    convert_variables_to_constants_v2,
)

from stages.errors import ModelRefused

OPSET = 17  # tf2onnx's newest is 18


def write_function(function: Any, path: Path) -> None:
    """Writes a `tf.function` with an input signature, layout kept and weights inside.

    Raises:
        ModelRefused: it has an operation that ONNX lacks.
    """
    try:
        frozen = convert_variables_to_constants_v2(
            function.get_concrete_function(), aggressive_inlining=True
        )
        model, _ = tf2onnx.convert.from_graph_def(
            _inlinable(frozen.graph.as_graph_def()),
            input_names=[tensor.name for tensor in frozen.inputs],
            output_names=[tensor.name for tensor in frozen.outputs],
            opset=OPSET,
            custom_op_handlers={"Erfc": (_write_erfc, [])},
        )
        _require_known_operations(model)
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, NotImplementedError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelRefused(
            f"tf2onnx cannot write the model as ONNX: {reason}; replace that operation"
        ) from error
    path.write_bytes(model.SerializeToString())


def _write_erfc(context: Any, node: Any, name: str, arguments: Any) -> None:  # noqa: ARG001 (as it calls)
    """Writes TensorFlow's GELU, which tf2onnx does not know: erfc(x) = 1 − erf(x)."""
    one = context.make_const(tf2onnx.utils.make_name("one"), np.float32(1))
    erf = context.make_node("Erf", [node.input[0]])
    context.remove_node(node.name)
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=node.output, name=name)


def _inlinable(graph: Any) -> Any:
    """Without the marks that keep tf2onnx out of functions, such as Keras' grouped convolutions."""
    functions = graph.library.function
    for part in (*graph.node, *functions, *(node for each in functions for node in each.node_def)):
        part.attr.pop("_XlaMustCompile", None)
        part.attr.pop("_noinline", None)
    return graph


def _require_known_operations(model: onnx.ModelProto) -> None:
    """tf2onnx leaves operations that it does not know in the file under their own names."""
    domains = {node.op_type: node.domain for node in model.graph.node}
    unknown = [f"`{name}`" for name, domain in domains.items() if not onnx.defs.has(name, domain)]
    if unknown:
        raise ModelRefused(
            f"the TensorFlow operations {', '.join(unknown)} have no counterpart in ONNX; save a"
            " model that begins after the preprocessing and ends with the scores"
        )
