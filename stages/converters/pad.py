"""Pad with amounts as attribute, constant or computed, for all or chosen axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn
from torch.nn import functional

from stages.converters.registration import constant, input_name, install, result

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


class Pad(nn.Module):
    """Pads the chosen axes, by default all; negative amounts crop."""

    def __init__(
        self, mode: str, amounts: Sequence[int], axes: Sequence[int] | None, value: float
    ) -> None:
        super().__init__()
        self._mode = mode
        self._amounts = list(amounts)
        self._axes = axes
        self._value = value

    def forward(
        self,
        x: torch.Tensor,
        amounts: torch.Tensor | None = None,
        value: torch.Tensor | None = None,
        axes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """X with the given amounts, all beginnings before all ends, around it."""
        pads = self._amounts if amounts is None else [int(one) for one in amounts.tolist()]
        chosen = self._axes if axes is None else [int(one) for one in axes.tolist()]
        every = range(x.dim())
        flat = _torch_order(pads, every if chosen is None else chosen, x.dim())
        if self._mode == "constant":
            fill = self._value if value is None else float(value)
            return functional.pad(x, flat, value=fill)
        return functional.pad(x, _spatial(flat), mode=self._mode)


def _torch_order(pads: Sequence[int], axes: Sequence[int], rank: int) -> list[int]:
    """(begin, end) of each axis, last axis first."""
    pairs = [(0, 0)] * rank
    for index, axis in enumerate(axes):
        pairs[axis] = (pads[index], pads[index + len(axes)])
    return [one for pair in reversed(pairs) for one in pair]


def _spatial(flat: list[int]) -> list[int]:
    """The amounts without batch and channels, which torch pads by a constant only.

    Raises:
        ValueError: batch or channels are padded too.
    """
    kept = max(2, len(flat) - 4)
    if any(flat[kept:]):
        raise ValueError("cannot pad batch or channels by reflection or repetition")
    return flat[:kept]


def convert_pad(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A pad that reads constant inputs once; if any is computed, all are read when it runs.

    Raises:
        NotImplementedError: the mode is unknown to torch.
    """
    mode = node.attributes.get("mode", "constant")
    if mode not in _MODES:
        raise NotImplementedError(f"padding of mode `{mode}`")
    tensors = [constant(graph, node, index) for index in (1, 2, 3)]
    if any(input_name(node, index) and tensors[index - 1] is None for index in (1, 2, 3)):
        return result(Pad(_MODES[mode], [], None, 0.0), node)
    amounts, value, axes = tensors
    module = Pad(
        _MODES[mode],
        node.attributes.get("pads", []) if amounts is None else amounts.tolist(),
        None if axes is None else axes.tolist(),
        float(node.attributes.get("value", 0.0) if value is None else value),
    )
    return result(module, node, node.input_values[:1])


def register() -> None:
    """Registers Pad for all versions since its attribute is called pads."""
    install("Pad", convert_pad, since=2)
