"""Slice with any step, by bounds as attributes, constants or computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, input_name, install, result

_INPUTS = ("starts", "ends", "axes", "steps")


class Slice(nn.Module):
    """Slices axes as Python does; bounds beyond an axis end at its border."""

    def __init__(self, bounds: Sequence[list[int] | None]) -> None:
        super().__init__()
        self._bounds = tuple(bounds)

    def forward(
        self,
        x: torch.Tensor,
        starts: torch.Tensor | None = None,
        ends: torch.Tensor | None = None,
        axes: torch.Tensor | None = None,
        steps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The part of x."""
        computed = (starts, ends, axes, steps)
        begin, end, chosen, step = (
            own if one is None else [int(number) for number in one.tolist()]
            for own, one in zip(self._bounds, computed, strict=True)
        )
        begin, end = begin or [], end or []
        axis_list = range(len(begin)) if chosen is None else chosen
        for index, axis in enumerate(axis_list):
            x = _along(x, axis, slice(begin[index], end[index], step[index] if step else 1))
        return x


def _along(x: torch.Tensor, axis: int, part: slice) -> torch.Tensor:
    """The part of x along one axis; torch itself has no negative steps."""
    start, stop, step = part.indices(x.shape[axis])
    if step > 0:
        full = [slice(None)] * x.dim()
        full[axis] = slice(start, max(start, stop), step)
        return x[tuple(full)]
    return x.index_select(axis, torch.arange(start, min(start, stop), step, device=x.device))


def convert_slice(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A slice that reads constant bounds once; if any is computed, all are read when it runs."""
    tensors = [constant(graph, node, index) for index in range(1, 5)]
    if any(input_name(node, index) and tensors[index - 1] is None for index in range(1, 5)):
        return result(Slice([None] * 4), node)
    bounds = [
        node.attributes.get(name) if tensor is None else [int(one) for one in tensor.tolist()]
        for name, tensor in zip(_INPUTS, tensors, strict=True)
    ]
    return result(Slice(bounds), node, node.input_values[:1])


def register() -> None:
    """Registers Slice for all versions."""
    install("Slice", convert_slice)
