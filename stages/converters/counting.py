"""Operators that count along axes: CumSum, OneHot, Size and Trilu."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, input_name, install, result


class CumSum(nn.Module):
    """Running sums along an axis, from either end, with or without the element itself."""

    def __init__(self, axis: int | None, *, exclusive: bool, reverse: bool) -> None:
        super().__init__()
        self._axis = axis
        self._exclusive = exclusive
        self._reverse = reverse

    def forward(self, x: torch.Tensor, axis: torch.Tensor | None = None) -> torch.Tensor:
        """The sums, in the shape of x."""
        along = (self._axis or 0) if axis is None else int(axis)
        ordered = x.flip(along) if self._reverse else x
        sums = ordered.cumsum(along, dtype=x.dtype)
        if self._exclusive:
            first = torch.zeros_like(sums.narrow(along, 0, 1))
            sums = torch.cat([first, sums.narrow(along, 0, x.shape[along] - 1)], along)
        return sums.flip(along) if self._reverse else sums


class OneHot(nn.Module):
    """A new axis with one value at the index and another elsewhere."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self._axis = axis

    def forward(
        self, indices: torch.Tensor, depth: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """Values (off, on); indices may count from the end, and those out of range set nothing."""
        size = int(depth)
        places = indices.long()
        places = torch.where(places < 0, places + size, places).unsqueeze(self._axis)
        shape = [1] * places.dim()
        shape[self._axis] = -1
        counted = torch.arange(size, device=indices.device).reshape(shape)
        return torch.where(places == counted, values[1], values[0])


class Size(nn.Module):
    """How many elements a tensor has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The number as int64."""
        return torch.tensor(x.numel(), device=x.device)


class Trilu(nn.Module):
    """The upper or lower triangle of the last two axes; the rest is zero."""

    def __init__(self, diagonal: int, *, upper: bool) -> None:
        super().__init__()
        self._diagonal = diagonal
        self._upper = upper

    def forward(self, x: torch.Tensor, diagonal: torch.Tensor | None = None) -> torch.Tensor:
        """X with the given diagonal, 0 for the main one, as the border."""
        border = self._diagonal if diagonal is None else int(diagonal)
        return x.triu(border) if self._upper else x.tril(border)


def _convert_cum_sum(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    axis = constant(graph, node, 1)
    module = CumSum(
        None if axis is None else int(axis),
        exclusive=bool(node.attributes.get("exclusive", 0)),
        reverse=bool(node.attributes.get("reverse", 0)),
    )
    return result(module, node, node.input_values[: 1 + (axis is None)])


def _convert_one_hot(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(OneHot(int(node.attributes.get("axis", -1))), node)


def _convert_size(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(Size(), node)


def _convert_trilu(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    diagonal = constant(graph, node, 1)
    computed = input_name(node, 1) is not None and diagonal is None
    module = Trilu(int(diagonal or 0), upper=bool(node.attributes.get("upper", 1)))
    return result(module, node, node.input_values[: 1 + computed])


def register() -> None:
    """Registers the four for all versions."""
    install("CumSum", _convert_cum_sum)
    install("OneHot", _convert_one_hot)
    install("Size", _convert_size)
    install("Trilu", _convert_trilu)
