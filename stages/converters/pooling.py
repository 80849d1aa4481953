"""Pooling with every padding ONNX has, and global pooling that finds its axes when it runs."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.padding import Window, window
from stages.converters.registration import install, result

_MAX = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


class PaddedMaxPool(nn.Module):
    """Max pooling after padding with −inf, which is never a maximum."""

    def __init__(self, pool: nn.Module, sides: Window) -> None:
        super().__init__()
        self.pool = pool
        self._window = sides

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled images (N, C, *spatial) without windows that would begin behind the image."""
        pooled: torch.Tensor = self.pool(self._window.pad(images, float("-inf")))
        begin = self._window.amounts(images.shape[2:])[-2::-2]
        sizes = zip(images.shape[2:], begin, self._window.stride, strict=True)
        for axis, (size, front, stride) in enumerate(sizes, 2):
            most = -(-(size + front) // stride)
            pooled = pooled.narrow(axis, 0, min(most, pooled.shape[axis]))
        return pooled


class PaddedAveragePool(nn.Module):
    """Average pooling after padding with zeros, which count only if the node says so."""

    def __init__(self, pool: nn.Module, sides: Window, *, counts_padding: bool) -> None:
        super().__init__()
        self.pool = pool
        self._window = sides
        self._counts_padding = counts_padding

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled images (N, C, *spatial)."""
        pooled: torch.Tensor = self.pool(self._window.pad(images, 0.0))
        if self._counts_padding:
            return pooled
        ones = torch.ones_like(images[:1, :1])
        counted: torch.Tensor = self.pool(self._window.pad(ones, 0.0))
        return pooled / counted


class GlobalAveragePool(nn.Module):
    """The mean over all spatial axes."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, *spatial) to (N, C, 1, …)."""
        return images.mean(dim=tuple(range(2, images.dim())), keepdim=True)


class GlobalMaxPool(nn.Module):
    """The maximum over all spatial axes."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, *spatial) to (N, C, 1, …)."""
        return images.amax(dim=tuple(range(2, images.dim())), keepdim=True)


class GlobalLpPool(nn.Module):
    """The p-norm over all spatial axes."""

    def __init__(self, p: int) -> None:
        super().__init__()
        self._p = p

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, *spatial) to (N, C, 1, …)."""
        axes = tuple(range(2, images.dim()))
        pooled: torch.Tensor = torch.linalg.vector_norm(images, self._p, axes, keepdim=True)
        return pooled


def convert_max_pool(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """Max pooling over one to three axes.

    Raises:
        NotImplementedError: the indices are an output, or the order is not row by row.
    """
    del graph
    if len(node.output_values) > 1 or node.attributes.get("storage_order", 0):
        raise NotImplementedError("max pooling with indices")
    sides, ceil = _sides(node), bool(node.attributes.get("ceil_mode", 0))
    fits = _fits(sides)
    padding = sides.begin if fits else 0
    make = _MAX[len(sides.kernel)]
    pool = make(sides.kernel, sides.stride, padding, sides.dilation, ceil_mode=ceil)
    return result(pool if fits else PaddedMaxPool(pool, sides), node)


def convert_average_pool(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """Average pooling over one to three axes.

    Raises:
        NotImplementedError: the window is dilated, or rounds up beside uneven or wide padding.
    """
    del graph
    sides, ceil = _sides(node), bool(node.attributes.get("ceil_mode", 0))
    counts = bool(node.attributes.get("count_include_pad", 0))
    if set(sides.dilation) != {1} or (ceil and not _fits(sides)):
        raise NotImplementedError("dilated average pooling, or one that rounds up beside padding")
    make = _AVERAGE[len(sides.kernel)]
    if _fits(sides):
        pool = make(sides.kernel, sides.stride, sides.begin, ceil, counts)
        return result(pool, node)
    pool = make(sides.kernel, sides.stride)
    return result(PaddedAveragePool(pool, sides, counts_padding=counts), node)


def _sides(node: OnnxNode) -> Window:
    """The pooling window.

    Raises:
        NotImplementedError: it spans no axes, or more than three.
    """
    sides = window(node, node.attributes["kernel_shape"])
    if len(sides.kernel) not in _MAX:
        raise NotImplementedError(f"pooling over {len(sides.kernel)} axes")
    return sides


def _fits(sides: Window) -> bool:
    """Whether torch's pooling can pad by itself: evenly, and by half a window at most."""
    halves = zip(sides.begin, sides.kernel, strict=True)
    return sides.is_symmetric and all(2 * amount <= kernel for amount, kernel in halves)


def _convert_global_average(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(GlobalAveragePool(), node)


def _convert_global_max(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(GlobalMaxPool(), node)


def _convert_global_lp(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(GlobalLpPool(int(node.attributes.get("p", 2))), node)


def register() -> None:
    """Registers the five pooling operators for all versions."""
    install("MaxPool", convert_max_pool)
    install("AveragePool", convert_average_pool)
    install("GlobalAveragePool", _convert_global_average)
    install("GlobalMaxPool", _convert_global_max)
    install("GlobalLpPool", _convert_global_lp, since=2)
