"""Conv as a true convolution module wherever its weights are in the file, and ConvTranspose."""

from __future__ import annotations

from collections.abc import Callable

import torch
from onnx2torch.node_converters.registry import get_converter
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn
from torch.nn import functional

from stages.converters.padding import Window, window
from stages.converters.registration import constant, input_name, install, result


class _Padded(nn.Module):
    """Pads by the window first; a mixin for convolution modules."""

    window: Window

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps of the padded images."""
        maps: torch.Tensor = super().forward(self.window.pad(images, 0.0))
        return maps


class PaddedConv1d(_Padded, nn.Conv1d):
    """A convolution whose padding torch cannot express, over one axis."""


class PaddedConv2d(_Padded, nn.Conv2d):
    """A convolution whose padding torch cannot express, over two axes."""


class PaddedConv3d(_Padded, nn.Conv3d):
    """A convolution whose padding torch cannot express, over three axes."""


_CLASSES: dict[int, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    1: (nn.Conv1d, PaddedConv1d),
    2: (nn.Conv2d, PaddedConv2d),
    3: (nn.Conv3d, PaddedConv3d),
}


_FUNCTIONS: dict[int, Callable[..., torch.Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


class FunctionalConv(nn.Module):
    """A convolution whose weight is computed in the graph."""

    def __init__(self, node: OnnxNode) -> None:
        super().__init__()
        self._node = node
        self._groups = int(node.attributes.get("group", 1))

    def forward(
        self, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Feature maps of images (N, C, *spatial)."""
        sides = window(self._node, weight.shape[2:])
        convolve = _FUNCTIONS[len(sides.kernel)]
        padded = sides.pad(images, 0.0)
        return convolve(padded, weight, bias, sides.stride, 0, sides.dilation, self._groups)


def convert_conv(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """An `nn.Conv` module, or the functional form where weight or bias is computed."""
    weight, bias = constant(graph, node, 1), constant(graph, node, 2)
    if weight is None or (bias is None and input_name(node, 2) is not None):
        return result(FunctionalConv(node), node)
    return result(convolution(node, weight, bias), node, node.input_values[:1])


def convolution(node: OnnxNode, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """The convolution module with these weights.

    Raises:
        NotImplementedError: torch has no convolution over that many axes.
    """
    rank, sides = weight.dim() - 2, window(node, weight.shape[2:])
    if rank not in _CLASSES or sides.kernel != tuple(weight.shape[2:]):
        raise NotImplementedError(f"a convolution with weight of shape {tuple(weight.shape)}")
    groups = int(node.attributes.get("group", 1))
    module = _CLASSES[rank][not sides.is_symmetric](
        *(weight.shape[1] * groups, weight.shape[0], sides.kernel, sides.stride),
        padding=sides.begin if sides.is_symmetric else 0,
        dilation=sides.dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    if isinstance(module, _Padded):
        module.window = sides
    module.weight = nn.Parameter(weight)
    module.register_parameter("bias", None if bias is None else nn.Parameter(bias))
    return module


_convert_transposed = get_converter("ConvTranspose", 11, "")


def convert_conv_transpose(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """onnx2torch's own conversion, which ignores a stated output shape.

    Raises:
        NotImplementedError: the node states one, or its weights are computed.
    """
    weights = [constant(graph, node, index) for index in (1, 2) if input_name(node, index)]
    if "output_shape" in node.attributes or any(one is None for one in weights):
        raise NotImplementedError("a transposed convolution to a stated shape, or by other values")
    converted: OperationConverterResult = _convert_transposed(node, graph)
    return converted


def register() -> None:
    """Registers both for all versions."""
    install("Conv", convert_conv)
    install("ConvTranspose", convert_conv_transpose)
