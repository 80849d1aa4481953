"""The Reduce family, with axes as attribute, as constant or computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, input_name, install, result

Reduction = Callable[[torch.Tensor, tuple[int, ...], bool], torch.Tensor]


def _product(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


REDUCTIONS: dict[str, Reduction] = {
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keep),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keep),
    "ReduceProd": _product,
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keep),
}


class Reduce(nn.Module):
    """Reduces over the given axes; without any, over all of them or, as a no-op, over none."""

    def __init__(self, operator: str, axes: Sequence[int], *, keep: bool, noop: bool) -> None:
        super().__init__()
        self.operator = operator
        self._axes = tuple(axes)
        self._keep = keep
        self._noop = noop

    def forward(self, x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
        """X without the reduced axes, or with them at size 1.

        A no-op still takes absolute values, squares and logarithms.
        """
        chosen = self._axes if axes is None else tuple(int(axis) for axis in axes.tolist())
        if not chosen and self._noop:
            return REDUCTIONS[self.operator](x.unsqueeze(-1), (-1,), False)
        return REDUCTIONS[self.operator](x, chosen or tuple(range(x.dim())), self._keep)


def convert_reduce(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """The reduction; constant axes are read once, computed ones when it runs."""
    axes = constant(graph, node, 1)
    fixed = node.attributes.get("axes", []) if axes is None else axes.tolist()
    module = Reduce(
        node.operation_type,
        fixed,
        keep=bool(node.attributes.get("keepdims", 1)),
        noop=bool(node.attributes.get("noop_with_empty_axes", 0)),
    )
    computed = input_name(node, 1) is not None and axes is None
    return result(module, node, node.input_values[: 1 + computed])


def register() -> None:
    """Registers all ten reductions for all versions."""
    for operator in REDUCTIONS:
        install(operator, convert_reduce)
