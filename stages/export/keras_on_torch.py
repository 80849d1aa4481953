"""Keras on torch, where a Keras model is a torch module and is traced as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages.export.pytorch import PyTorchExporter, TorchModel
from stages.export.source import Floats


class _Inference(nn.Module):
    """The model with one input, in inference mode, which `eval` alone does not set in Keras."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.model(images, training=False)
        return scores


def write(model: Any, images: Floats, path: Path) -> None:
    """Writes a Keras model as ONNX; the batch is free, other sizes are those of the images."""
    PyTorchExporter().write_onnx(TorchModel(module=_Inference(model).eval()), images, path)
