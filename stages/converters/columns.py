"""Col2Im: adds up overlapping blocks of an image, as torch's fold does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn
from torch.nn import functional

from stages.converters.registration import constant, install, result

_PLANE = 2


class Col2Im(nn.Module):
    """Images (N, C, H, W) of blocks (N, C · block height · block width, number of blocks)."""

    def __init__(
        self,
        size: Sequence[int],
        block: Sequence[int],
        pads: Sequence[int],
        dilations: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        self._size = tuple(size)
        self._block = tuple(block)
        self._pads = tuple(pads)
        self._dilations = tuple(dilations)
        self._strides = tuple(strides)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sums of all blocks at each place, without what lies in the padding."""
        (height, width), (top, left, bottom, right) = self._size, self._pads
        padded = (top + height + bottom, left + width + right)
        whole = functional.fold(
            x, padded, self._block, dilation=self._dilations, stride=self._strides
        )
        return whole[:, :, top : top + height, left : left + width]


def convert_col2im(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A Col2Im of images with a height and a width, whose sizes are constants.

    Raises:
        NotImplementedError: a size is computed, or there is another number of axes.
    """
    size, block = constant(graph, node, 1), constant(graph, node, 2)
    if size is None or block is None:
        raise NotImplementedError("its sizes are computed, expected constants")
    if len(size) != _PLANE:
        raise NotImplementedError(f"images with {len(size)} axes, expected {_PLANE}")
    module = Col2Im(
        size.tolist(),
        block.tolist(),
        node.attributes.get("pads", [0] * 2 * _PLANE),
        node.attributes.get("dilations", [1] * _PLANE),
        node.attributes.get("strides", [1] * _PLANE),
    )
    return result(module, node, node.input_values[:1])


def register() -> None:
    """Registers Col2Im for all versions."""
    install("Col2Im", convert_col2im)
