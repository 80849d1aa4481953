"""Brings a model to an opset whose operators the converters know."""

from __future__ import annotations

from onnx import ModelProto, version_converter

from stages.errors import ModelRefused
from stages.passes.onnx_graph import opset

OLDEST_OPSET = 7
NEWEST_OPSET = 23
_USUAL = 17  # what every exporter writes
_FAILURES = (
    version_converter.ConvertError,
    *(ArithmeticError, LookupError, RuntimeError, TypeError, ValueError),
)
_LONGEST_REASON = 200  # characters of the converter's message


def apply(model: ModelProto) -> None:
    """Converts a model of an older or newer opset by onnx's version converter.

    Known opsets stay. So does a newer model with an operator that has no counterpart there: its
    operators' own converters then say whether it can be judged.

    Raises:
        ModelRefused: an older model has an operator without a counterpart there.
    """
    found = opset(model)
    target = min(max(found, OLDEST_OPSET), NEWEST_OPSET)
    if found == target:
        return
    try:
        model.CopyFrom(version_converter.convert_version(model, target))
    except _FAILURES as error:
        if found > target:
            return
        raise ModelRefused(
            f"cannot bring the model from opset {found} to opset {target}: {_reason(error)};"
            f" export the model at opset {_USUAL}"
        ) from error


def _reason(error: Exception) -> str:
    """What the converter says, without its place in the source."""
    text = " ".join(str(error).split()).rpartition("failed: ")[2]
    return text[:_LONGEST_REASON] or type(error).__name__
