"""The ways a torch model of the zoo becomes ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn


def dynamo(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """torch's default exporter, which folds BatchNorm into the convolutions."""
    torch.onnx.export(
        model,
        (example,),
        str(path),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
        external_data=False,
        verbose=False,
    )


def traced(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """torch's older exporter, which folds BatchNorm too."""
    _trace(model, example, path, torch.onnx.TrainingMode.EVAL)


def preserving(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """torch's older exporter, told to keep BatchNorm."""
    _trace(model, example, path, torch.onnx.TrainingMode.PRESERVE)


def _trace(
    model: nn.Module, example: torch.Tensor, path: Path, mode: torch.onnx.TrainingMode
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is the older one
        torch.onnx.export(
            model,
            (example,),
            str(path),
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
            training=mode,
            do_constant_folding=mode is torch.onnx.TrainingMode.EVAL,
            dynamo=False,
            verbose=False,
        )


EXPORTERS: dict[str, Callable[[nn.Module, torch.Tensor, Path], None]] = {
    "dynamo": dynamo,
    "traced": traced,
    "preserving": preserving,
}
