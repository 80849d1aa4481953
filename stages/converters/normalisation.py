"""Normalisations; batch and layer normalisation as torch's own modules where they fit."""

from __future__ import annotations

from typing import NoReturn

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn
from torch.nn import functional

from stages.converters.registration import constant, input_name, install, result
from stages.passes.onnx_graph import shape_of

_BATCH_NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


class FunctionalBatchNorm(nn.Module):
    """BatchNorm in inference whose parameters are computed in the graph."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self._epsilon = epsilon

    def forward(
        self,
        x: torch.Tensor,
        scale: torch.Tensor,
        bias: torch.Tensor,
        mean: torch.Tensor,
        variance: torch.Tensor,
    ) -> torch.Tensor:
        """(x − mean) / √(variance + ε) · scale + bias along axis 1."""
        return functional.batch_norm(x, mean, variance, scale, bias, eps=self._epsilon)


class FunctionalLayerNorm(nn.Module):
    """LayerNorm over the axes from `axis` on, known when it runs."""

    def __init__(self, axis: int, epsilon: float) -> None:
        super().__init__()
        self._axis = axis
        self._epsilon = epsilon

    def forward(
        self, x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Normalised x times scale plus bias, both broadcast."""
        scaled = functional.layer_norm(x, x.shape[self._axis :], eps=self._epsilon) * scale
        return scaled if bias is None else scaled + bias


class FunctionalGroupNorm(nn.Module):
    """GroupNorm by a scale and bias for each channel or each group."""

    def __init__(self, groups: int, epsilon: float) -> None:
        super().__init__()
        self._groups = groups
        self._epsilon = epsilon

    def forward(self, x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Normalised x (N, C, *spatial) times scale plus bias."""
        each = x.shape[1] // len(scale)
        wide_scale, wide_bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
        return functional.group_norm(x, self._groups, wide_scale, wide_bias, self._epsilon)


class FunctionalRMSNorm(nn.Module):
    """Divides by the root of the mean square over the axes from `axis` on."""

    def __init__(self, axis: int, epsilon: float) -> None:
        super().__init__()
        self._axis = axis
        self._epsilon = epsilon

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Normalised x times scale, broadcast."""
        return functional.rms_norm(x, x.shape[self._axis :], eps=self._epsilon) * scale


class LpNorm(nn.Module):
    """Divides by the p-norm along an axis; what is all zero stays zero."""

    def __init__(self, axis: int, p: int) -> None:
        super().__init__()
        self._axis = axis
        self._p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """X of length 1, or 0, along the axis."""
        length = torch.linalg.vector_norm(x, self._p, self._axis, keepdim=True)
        return x / torch.where(length == 0, torch.ones_like(length), length)


def convert_batch_norm(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """An `nn.BatchNorm` module for rank 2 to 5, 4 if unknown; functional if they are computed.

    Raises:
        NotImplementedError: the node trains, has statistics per position, or its input has
            another rank.
    """
    if len(node.output_values) > 1 or node.attributes.get("training_mode", 0):
        _refuse("batch normalisation that updates its statistics")
    if not node.attributes.get("spatial", 1):
        _refuse("batch normalisation with statistics per position")
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    scale, bias, mean, variance = (constant(graph, node, index) for index in range(1, 5))
    if scale is None or bias is None or mean is None or variance is None:
        return result(FunctionalBatchNorm(epsilon), node)
    rank = _rank(graph, node.input_values[0])
    if rank not in _BATCH_NORMS:
        _refuse(f"batch normalisation of rank {rank}")
    momentum = 1 - float(node.attributes.get("momentum", 0.9))  # torch's weighs the new statistics
    module = _BATCH_NORMS[rank](len(scale), epsilon, momentum)
    module.weight, module.bias = nn.Parameter(scale), nn.Parameter(bias)
    module.running_mean, module.running_var = mean, variance
    return result(module, node, node.input_values[:1])


def convert_layer_norm(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """An `nn.LayerNorm` module where scale and bias span the normalised axes, else functional.

    Raises:
        NotImplementedError: mean or deviation are outputs.
    """
    if len([name for name in node.output_values if name]) > 1:
        _refuse("layer normalisation that gives its statistics")
    axis, epsilon = (
        int(node.attributes.get("axis", -1)),
        float(node.attributes.get("epsilon", 1e-5)),
    )
    scale, bias = constant(graph, node, 1), constant(graph, node, 2)
    rank = _rank(graph, node.input_values[0])
    spans = scale is not None and scale.dim() == (-axis if axis < 0 else rank - axis)
    bias_fits = input_name(node, 2) is None or (
        bias is not None and scale is not None and bias.shape == scale.shape
    )
    if scale is None or not spans or not bias_fits or 1 in scale.shape:
        return result(FunctionalLayerNorm(axis, epsilon), node)
    module = nn.LayerNorm(list(scale.shape), epsilon, bias=bias is not None)
    module.weight = nn.Parameter(scale)
    if bias is not None:
        module.bias = nn.Parameter(bias)
    return result(module, node, node.input_values[:1])


def _convert_group_norm(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    groups, epsilon = node.attributes["num_groups"], node.attributes.get("epsilon", 1e-5)
    return result(FunctionalGroupNorm(int(groups), float(epsilon)), node)


def _convert_rms_norm(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    axis, epsilon = node.attributes.get("axis", -1), node.attributes.get("epsilon", 1e-5)
    return result(FunctionalRMSNorm(int(axis), float(epsilon)), node)


def _convert_lp_norm(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    axis, p = node.attributes.get("axis", -1), node.attributes.get("p", 2)
    return result(LpNorm(int(axis), int(p)), node)


def _rank(graph: OnnxGraph, name: str) -> int:
    """The rank of a value, 4 where shape inference gives none."""
    value = graph.value_info.get(name)
    shape = None if value is None else shape_of(value)
    return 4 if shape is None else len(shape)


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(what)


def register() -> None:
    """Registers all for all versions."""
    install("BatchNormalization", convert_batch_norm, since=7)
    install("LayerNormalization", convert_layer_norm)
    install("GroupNormalization", _convert_group_norm)
    install("RMSNormalization", _convert_rms_norm)
    install("LpNormalization", _convert_lp_norm)
