"""CastLike: a cast to another tensor's type."""

from __future__ import annotations

import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import install, result


class CastLike(nn.Module):
    """Casts to the type of the second tensor."""

    def forward(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """X in the type of `like`."""
        return x.to(like.dtype)


def _convert(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    del graph
    return result(CastLike(), node)


def register() -> None:
    """Registers CastLike for all versions."""
    install("CastLike", _convert)
