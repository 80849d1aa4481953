"""Quantisation with straight-through gradients.

Quantised values are kept as floats that hold whole numbers. The gradient passes through a rounding
unchanged and ends where a value leaves the range; scales and zero points carry none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from onnx import TensorProto
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.convolution import convolution
from stages.converters.linear import linear
from stages.converters.registration import constant, element_type, input_name, install, result

RANGES: dict[int, tuple[int, int]] = {
    TensorProto.UINT4: (0, 15),
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT16: (0, 65535),
    TensorProto.INT16: (-32768, 32767),
}
"""Smallest and largest number of each integer type that values are quantised to."""
Bound = float | torch.Tensor


def straight_through(x: torch.Tensor, low: Bound, high: Bound) -> torch.Tensor:
    """X rounded to the nearest whole number, halves to even, and limited to the bounds.

    The gradient passes where the rounded number is within the bounds, themselves included.
    """
    rounded = x.detach().round()
    whole = rounded.clamp(low, high)  # type: ignore[arg-type] # both are of one kind
    passing = torch.where(whole == rounded, x, x.detach())
    return whole + (passing - passing.detach())


class Round(nn.Module):
    """Rounds halves to even and lets the gradient through."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """X in whole numbers."""
        return straight_through(x, float("-inf"), float("inf"))


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How scale and zero point spread over a tensor: per tensor, per axis or per block of it."""

    axis: int
    block: int

    def over(self, x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """The numbers as float32, in a shape that broadcasts with x."""
        numbers = numbers.detach().to(torch.float32)
        if self.block:
            repeated = numbers.repeat_interleave(self.block, self.axis)
            return repeated.narrow(self.axis, 0, x.shape[self.axis])
        if numbers.numel() == 1:
            return numbers.reshape(())
        shape = [1] * x.dim()
        shape[self.axis] = -1
        return numbers.reshape(shape)


class _Affine(nn.Module):
    """Keeps the scale and zero point that are in the file; computed ones are inputs."""

    scale: torch.Tensor | None
    zero_point: torch.Tensor | None

    def __init__(
        self, spread: Spread, scale: torch.Tensor | None, zero_point: torch.Tensor | None
    ) -> None:
        super().__init__()
        self._spread = spread
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)

    def _numbers(
        self, x: torch.Tensor, scale: torch.Tensor | None, zero_point: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point, broadcast over x."""
        factor = self.scale if scale is None else scale
        zero = self.zero_point if zero_point is None else zero_point
        if factor is None:
            raise ValueError("quantisation without a scale")
        spread = self._spread.over(x, factor)
        return spread, torch.zeros_like(spread) if zero is None else self._spread.over(x, zero)


class QuantizeLinear(_Affine):
    """Whole numbers round(x / scale) + zero point, limited to the integer type's range."""

    def __init__(
        self,
        spread: Spread,
        scale: torch.Tensor | None,
        zero_point: torch.Tensor | None,
        limits: tuple[int, int],
    ) -> None:
        super().__init__(spread, scale, zero_point)
        self._limits = limits

    def forward(
        self,
        x: torch.Tensor,
        scale: torch.Tensor | None = None,
        zero_point: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """X quantised, as float32."""
        factor, zero = self._numbers(x, scale, zero_point)
        return _quantised(x, factor, zero, self._limits)


class DequantizeLinear(_Affine):
    """(x − zero point) · scale."""

    def forward(
        self,
        x: torch.Tensor,
        scale: torch.Tensor | None = None,
        zero_point: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The real numbers that the whole numbers x stand for."""
        factor, zero = self._numbers(x, scale, zero_point)
        return (x.to(torch.float32) - zero) * factor


class DynamicQuantizeLinear(nn.Module):
    """Quantises to 0 … 255 by the extremes of the whole tensor, zero included."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """X quantised, its scale and its zero point."""
        low, high = RANGES[TensorProto.UINT8]
        least, most = x.detach().amin().clamp(max=0), x.detach().amax().clamp(min=0)
        spread = (most - least) / (high - low)
        scale = torch.where(spread == 0, torch.ones_like(spread), spread)
        zero = (-least / scale).clamp(low, high).round()
        return _quantised(x, scale, zero, (low, high)), scale, zero


def _quantised(
    x: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, limits: tuple[int, int]
) -> torch.Tensor:
    """Rounds before it adds the zero point: halves go to the even number without it."""
    low, high = limits
    return straight_through(x / scale, low - zero, high - zero) + zero


class Centred(nn.Sequential):
    """One layer that reads whole numbers minus their zero point."""

    def forward(self, x: torch.Tensor, zero_point: torch.Tensor | None = None) -> torch.Tensor:
        """The layer's output, as float32."""
        moved = x.to(torch.float32)
        if zero_point is not None:
            moved = moved - zero_point.detach()
        sums: torch.Tensor = self[0](moved)
        return sums


def convert_quantize(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A quantisation to integers of 4, 8 or 16 bits.

    Raises:
        NotImplementedError: it quantises to another type, such as an 8-bit float.
    """
    kind = element_type(graph, node, 2) or node.attributes.get("output_dtype", 0)
    if kind not in (0, *RANGES):
        raise NotImplementedError(f"quantisation to {TensorProto.DataType.Name(kind)}")
    limits = RANGES[kind or TensorProto.UINT8]
    constants, names = _scale_and_zero(node, graph)
    return result(QuantizeLinear(_spread(node), *constants, limits), node, names)


def convert_dequantize(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A dequantisation of integers.

    Raises:
        NotImplementedError: its input is not an integer.
    """
    kind = element_type(graph, node, 0) or TensorProto.UINT8
    if kind not in (*RANGES, TensorProto.INT32):
        raise NotImplementedError(f"dequantisation of {TensorProto.DataType.Name(kind)}")
    constants, names = _scale_and_zero(node, graph)
    return result(DequantizeLinear(_spread(node), *constants), node, names)


def _scale_and_zero(
    node: OnnxNode, graph: OnnxGraph
) -> tuple[tuple[torch.Tensor | None, torch.Tensor | None], list[str]]:
    """Scale and zero point if both are in the file, and the inputs read when it runs."""
    scale, zero = constant(graph, node, 1), constant(graph, node, 2)
    computed = scale is None or (zero is None and input_name(node, 2) is not None)
    if computed:
        return (None, None), [name for name in node.input_values if name]
    return (scale, zero), list(node.input_values[:1])


def _spread(node: OnnxNode) -> Spread:
    return Spread(
        axis=int(node.attributes.get("axis", 1)), block=int(node.attributes.get("block_size", 0))
    )


def _convert_dynamic(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(DynamicQuantizeLinear(), node)


def convert_product(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A product or convolution by a constant of integers, as a layer with float weights.

    Raises:
        NotImplementedError: the integers of the right side are computed.
    """
    right, zero = constant(graph, node, 1), constant(graph, node, 3)
    if right is None or (zero is None and input_name(node, 3) is not None):
        raise NotImplementedError("a product of integers that are all computed")
    weight = right.to(torch.float32)
    if zero is not None:
        axis = 0 if node.operation_type == "ConvInteger" else weight.dim() - 1
        weight = weight - Spread(axis=axis, block=0).over(weight, zero)
    layer = _layer(node, weight)
    zero_of_left = input_name(node, 2)
    names = [node.input_values[0], *([zero_of_left] if zero_of_left else [])]
    return result(Centred(layer), node, names)


def _layer(node: OnnxNode, weight: torch.Tensor) -> nn.Module:
    """The convolution or linear layer with that weight.

    Raises:
        NotImplementedError: the right side of the product is not a matrix.
    """
    if node.operation_type == "ConvInteger":
        return convolution(node, weight, None)
    if weight.dim() != 2:
        raise NotImplementedError(f"a product of integers by a tensor of rank {weight.dim()}")
    return linear(weight)


def _convert_round(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(Round(), node)


def register() -> None:
    """Registers the five for all versions, and Round that lets the gradient through."""
    install("QuantizeLinear", convert_quantize)
    install("DequantizeLinear", convert_dequantize)
    install("DynamicQuantizeLinear", _convert_dynamic)
    install("MatMulInteger", convert_product)
    install("ConvInteger", convert_product)
    install("Round", _convert_round)
