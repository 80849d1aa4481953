"""ScatterND and GatherElements, whose indices may count from the end."""

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


def register() -> None:
    """Registers both for all versions."""
    install("ScatterND", convert_scatter)
    install("GatherElements", convert_gather)
