"""A TensorFlow function becomes ONNX through tf2onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tf2onnx  # type: ignore[import-not-found] # lives with TensorFlow

from stages.errors import ModelRefused

OPSET = 17  # tf2onnx's newest is 18


def write_function(function: Any, path: Path) -> None:
    """Writes a `tf.function` with an input signature, layout kept and weights inside.

    Raises:
        ModelRefused: it has an operation that ONNX has not.
    """
    try:
        model, _ = tf2onnx.convert.from_function(
            function,
            function.input_signature,
            opset=OPSET,
            custom_op_handlers={"Erfc": (_write_erfc, [])},
        )
        _drop_unread_inputs(model.graph)
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


def _drop_unread_inputs(graph: onnx.GraphProto) -> None:
    """tf2onnx lists tensors the function captured as inputs, though it has folded them."""
    read = {name for node in graph.node for name in node.input}
    inputs = [value for value in graph.input if value.name in read]
    del graph.input[:]
    graph.input.extend(inputs)
