"""Operators that only rearrange elements, to shapes that may be known only when they run."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, input_name, install, result


class Reshape(nn.Module):
    """Reshapes to the given sizes; 0 copies the size of that axis unless zeros are allowed."""

    def __init__(self, target: list[int] | None, *, copies: bool) -> None:
        super().__init__()
        self._target = target
        self._copies = copies

    def forward(self, x: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        """The elements of x in the target's shape."""
        sizes = self._target if target is None else [int(one) for one in target.tolist()]
        if sizes is None:
            raise ValueError("reshape without a target")
        if self._copies:
            sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
        return x.reshape(sizes)


class Flatten(nn.Module):
    """Makes a matrix: axes before `axis` become rows, the others columns."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self._axis = axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The elements of x; no axes at all make a single row or column."""
        return x.reshape(prod(x.shape[: self._axis]), prod(x.shape[self._axis :]))


class SpaceToDepth(nn.Module):
    """Moves blocks of positions into channels."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self._block = block

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) to (N, block²·C, H / block, W / block)."""
        n, channels, height, width = images.shape
        rows, columns = height // self._block, width // self._block
        blocks = images.reshape(n, channels, rows, self._block, columns, self._block)
        return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, rows, columns)


class DepthToSpace(nn.Module):
    """Moves channels into blocks of positions; the block is the first or the last part of them."""

    def __init__(self, block: int, *, block_first: bool) -> None:
        super().__init__()
        self._block = block
        self._block_first = block_first

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, block²·C, H, W) to (N, C, block·H, block·W)."""
        n, channels, height, width = images.shape
        side, kept = self._block, channels // self._block**2
        if self._block_first:
            parts = images.reshape(n, side, side, kept, height, width).permute(0, 3, 4, 1, 5, 2)
        else:
            parts = images.reshape(n, kept, side, side, height, width).permute(0, 1, 4, 2, 5, 3)
        return parts.reshape(n, kept, side * height, side * width)


class _Axes(nn.Module):
    """Changes the axes of size 1, given as attribute, as constant or computed."""

    def __init__(self, axes: Sequence[int] | None) -> None:
        super().__init__()
        self._axes = axes

    def _chosen(self, rank: int, axes: torch.Tensor | None) -> set[int]:
        """The axes counted from the front; an empty set if there are none."""
        numbers = (self._axes or ()) if axes is None else axes.reshape(-1).tolist()
        return {int(axis) % rank for axis in numbers}


class Squeeze(_Axes):
    """Drops the given axes of size 1; without any, all of them."""

    def forward(self, x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
        """X without those axes."""
        chosen = self._chosen(x.dim(), axes)
        return x.squeeze(tuple(chosen)) if chosen else x.squeeze()


class Unsqueeze(_Axes):
    """Inserts axes of size 1 at the given places of the result."""

    def forward(self, x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
        """X with those axes."""
        count = len(self._axes or ()) if axes is None else axes.numel()
        for axis in sorted(self._chosen(x.dim() + count, axes)):
            x = x.unsqueeze(axis)
        return x


def convert_reshape(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A reshape that reads a constant target once."""
    copies = node.attributes.get("allowzero", 0) == 0
    target = constant(graph, node, 1)
    if target is None:
        return result(Reshape(None, copies=copies), node)
    sizes = [int(one) for one in target.tolist()]
    return result(Reshape(sizes, copies=copies), node, node.input_values[:1])


def convert_flatten(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A flatten at any axis, the first and the one behind the last included."""
    del graph
    return result(Flatten(int(node.attributes.get("axis", 1))), node)


def convert_axes(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A squeeze or unsqueeze that reads constant axes once."""
    axes = constant(graph, node, 1)
    fixed = node.attributes.get("axes") if axes is None else axes.reshape(-1).tolist()
    module = {"Squeeze": Squeeze, "Unsqueeze": Unsqueeze}[node.operation_type](fixed)
    computed = input_name(node, 1) is not None and axes is None
    return result(module, node, node.input_values[: 1 + computed])


def _convert_space_to_depth(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(SpaceToDepth(int(node.attributes["blocksize"])), node)


def _convert_depth_to_space(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    first = node.attributes.get("mode", "DCR") == "DCR"
    return result(DepthToSpace(int(node.attributes["blocksize"]), block_first=first), node)


def register() -> None:
    """Registers the six for all versions, Reshape for those whose target is an input."""
    install("Reshape", convert_reshape, since=5)
    install("Flatten", convert_flatten)
    install("Squeeze", convert_axes)
    install("Unsqueeze", convert_axes)
    install("SpaceToDepth", _convert_space_to_depth)
    install("DepthToSpace", _convert_depth_to_space)
