"""Operators that take or replace entries; indices may count from the end."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import install, result


class ScatterND(nn.Module):
    """A copy with the entries or slices at some indices replaced."""

    def forward(
        self, x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor
    ) -> torch.Tensor:
        """X with `updates` at `indices`, whose last axis holds the leading indices of x."""
        return x.index_put(tuple(indices.long().unbind(-1)), updates)


class GatherElements(nn.Module):
    """Takes one entry along an axis for each index."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self._axis = axis

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """The entries of x, in the shape of the indices."""
        return x.gather(self._axis, indices.long() % x.shape[self._axis])


class GatherND(nn.Module):
    """Takes entries or slices at indices into the axes behind the common ones."""

    def __init__(self, common: int) -> None:
        super().__init__()
        self._common = common

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """The entries of x; the last axis of the indices holds the leading indices."""
        if self._common == 0:
            return x[tuple(indices.unbind(-1))]
        lead = x.shape[: self._common]
        flat = x.flatten(0, self._common - 1)
        places = indices.flatten(0, self._common - 1)
        rows = torch.arange(len(flat), device=x.device).reshape(-1, *[1] * (places.dim() - 2))
        taken = flat[(rows.expand(places.shape[:-1]), *places.unbind(-1))]
        return taken.reshape(*lead, *taken.shape[1:])


class NonZero(nn.Module):
    """The places of all elements that are not zero."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Indices (axes of x, elements), row by row."""
        return x.nonzero().T


class ScatterElements(nn.Module):
    """A copy with one entry replaced, or combined, along an axis for each index."""

    def __init__(self, axis: int, reduction: str) -> None:
        super().__init__()
        self._axis = axis
        self._reduction = reduction

    def forward(
        self, x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor
    ) -> torch.Tensor:
        """X with `updates`, in the shape of the indices, at those places."""
        places = indices.long() % x.shape[self._axis]
        if self._reduction == "none":
            return x.scatter(self._axis, places, updates)
        return x.scatter_reduce(self._axis, places, updates, _REDUCTIONS[self._reduction])


_REDUCTIONS = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}


def convert_scatter_elements(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A scatter along the node's axis."""
    del graph
    axis = int(node.attributes.get("axis", 0))
    return result(ScatterElements(axis, node.attributes.get("reduction", "none")), node)


def convert_scatter(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A replacement of entries.

    Raises:
        NotImplementedError: entries are to be added to or multiplied instead.
    """
    del graph
    reduction = node.attributes.get("reduction", "none")
    if reduction != "none":
        raise NotImplementedError(f"scattering with reduction `{reduction}`")
    return result(ScatterND(), node)


def convert_gather(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A gather along the node's axis."""
    del graph
    return result(GatherElements(int(node.attributes.get("axis", 0))), node)


def _convert_gather_nd(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(GatherND(int(node.attributes.get("batch_dims", 0))), node)


def _convert_non_zero(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(NonZero(), node)


def register() -> None:
    """Registers all for all versions, Scatter as the older name of ScatterElements."""
    install("ScatterND", convert_scatter)
    install("ScatterElements", convert_scatter_elements)
    install("Scatter", convert_scatter_elements)
    install("GatherElements", convert_gather)
    install("GatherND", _convert_gather_nd)
    install("NonZero", _convert_non_zero)
