"""What to do about a model that cannot become a twin: an advice that can be followed."""

from __future__ import annotations

from onnx2torch.node_converters.registry import get_converter
from onnx2torch.onnx_node import OnnxNode

BEST_OPSET = 17
"""onnx2torch itself covers it best."""
_IN_TRAINING = "training_mode"


def advice(version: int, node: OnnxNode | None = None) -> str:
    """What to try next with a model of an opset, where a node, if one is known, is in the way.

    Another opset is named only where the node's operator has a converter there.
    """
    if node is not None and node.attributes.get(_IN_TRAINING, 0):
        return "export the model in eval mode"
    if version != BEST_OPSET and (node is None or _has_converter(node)):
        return f"export the model at opset {BEST_OPSET}"
    return "export the model without it" if node else "export the model with another exporter"


def _has_converter(node: OnnxNode) -> bool:
    try:
        get_converter(node.operation_type, BEST_OPSET, node.domain)
    except Exception:  # noqa: BLE001 (the registry has errors of its own, and onnx's)
        return False
    return True
