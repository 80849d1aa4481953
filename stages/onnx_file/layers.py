"""Which layers mix what they read, so that what comes out is a feature and no decision."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from stages.passes.known_values import Array
from stages.passes.onnx_graph import constants, producers

WEIGHTED = frozenset(
    [
        *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv"),
        *("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "LinearClassifier"),
    ]
)
"""Operators in which weights decide."""
INTEGER = frozenset(["ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul"])
"""Those whose inputs behind the second are scales and zero points."""
MIXING_WIDTH = 8
"""Inputs and outputs that a layer has at least if it mixes."""
MIXING_RANK = 1.5
"""Stable rank, ‖W‖²_F / ‖W‖²₂, above which a layer mixes; a matrix of rank one has 1."""
_STORED_AS = frozenset(["DequantizeLinear", "Transpose", "Cast", "Identity", "Reshape"])
"""Operators between a stored weight and its layer."""
_STEPS = 12  # of the power iteration


class Layers:
    """The weights of a graph, to ask of each layer whether it mixes."""

    def __init__(self, graph: GraphProto) -> None:
        self._constants, self._made_by = constants(graph), producers(graph)

    def mixes(self, node: NodeProto) -> bool:
        """Whether the layer has constant weights of many inputs, outputs and directions."""
        stored = [one for name in node.input if (one := self._stored(name)) is not None]
        matrices = [_matrix(one) for one in stored if len(one.dims) > 1]
        return any(min(one.shape) >= MIXING_WIDTH and _spreads(one) for one in matrices)

    def _stored(self, name: str) -> TensorProto | None:
        while name not in self._constants:
            node = self._made_by.get(name)
            if node is None or node.op_type not in _STORED_AS:
                return None
            name = node.input[0]
        tensor = self._constants[name]
        return None if tensor.data_location == TensorProto.EXTERNAL else tensor


def _matrix(tensor: TensorProto) -> Array:
    """A weight as a matrix of its longest axes: outputs by all inputs of each."""
    weight = numpy_helper.to_array(tensor)
    return weight.reshape(len(weight), -1) if len(weight) else np.zeros((1, 1))


def _spreads(matrix: Array) -> bool:
    """Whether the stable rank is above the limit, by a power iteration for the norm."""
    weight = np.asarray(matrix, np.float32)
    direction = np.ones(weight.shape[1], np.float32) + np.arange(weight.shape[1]) % 7
    for _ in range(_STEPS):
        moved = weight.T @ (weight @ direction)
        length = float(np.linalg.norm(moved))
        if not 0 < length < np.inf:
            return False
        direction = moved / length
    largest = float(np.linalg.norm(weight @ direction)) ** 2
    return float(np.square(weight).sum()) > MIXING_RANK * largest
