"""Attention on separate heads, as exporters write scaled dot product attention."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn
from torch.nn import functional

from stages.converters.registration import input_name, install, result


class Attention(nn.Module):
    """softmax(Q·Kᵀ·scale + mask)·V with separate heads."""

    def __init__(self, scale: float | None, *, causal: bool) -> None:
        super().__init__()
        self._scale = scale
        self._causal = causal

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attended values (N, heads, positions, size); a head count of K and V may divide Q's."""
        if self._causal and mask is not None:
            mask = _without_future(mask, query.shape[-2], key.shape[-2])
        return functional.scaled_dot_product_attention(
            *(query, key, value, mask),
            is_causal=self._causal and mask is None,
            scale=self._scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )


def _without_future(mask: torch.Tensor, queries: int, keys: int) -> torch.Tensor:
    """The mask without keys after their query's position; torch takes a mask or `is_causal`."""
    past = torch.ones(queries, keys, dtype=torch.bool, device=mask.device).tril()
    return mask & past if mask.dtype == torch.bool else mask.masked_fill(~past, float("-inf"))


def convert_attention(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """Attention of rank 4 without cache, soft cap or access to the scores.

    Raises:
        NotImplementedError: the node uses one of those.
    """
    del graph
    attributes = node.attributes
    extra = any(input_name(node, index) for index in range(4, len(node.input_values)))
    extra |= any(node.output_values[1:]) or attributes.get("softcap", 0.0) != 0.0
    if extra or "q_num_heads" in attributes:
        raise NotImplementedError("attention with cache, soft cap or heads side by side")
    scale = attributes.get("scale")
    causal = bool(attributes.get("is_causal", 0))
    module = Attention(None if scale is None else float(scale), causal=causal)
    return result(module, node)


def register() -> None:
    """Registers Attention for all versions."""
    install("Attention", convert_attention)
