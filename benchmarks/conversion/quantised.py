"""Quantised and half-precision files, made by onnxruntime from the tracing exporter's files."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime import quantization
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from torch import nn

from benchmarks.conversion import torch_models
from benchmarks.conversion.case import Case
from benchmarks.conversion.torch_exports import Legacy

MODELS = {
    "small_cnn": ("", ""),
    "resnet18": ("torchvision", "resnet18"),
    "mobilenet_v3_small": ("torchvision", "mobilenet_v3_small"),
    "vit_tiny": ("timm", "vit_tiny_patch16_224"),
}
"""Library and architecture by the model's name; the small CNN is this module's own."""


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc] # has no types
    def __init__(self, images: torch.Tensor) -> None:
        self.batches = iter([{"input": images.numpy()}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def small_cnn() -> nn.Module:
    """Two convolutions with BatchNorm, max pooling and one linear layer, for 64 × 64 images."""
    torch.manual_seed(7)
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 16 * 16, torch_models.CLASSES)),
    )
    return torch_models.prepare(module, torch.randn(8, 3, 64, 64))


def static(source: Path, images: torch.Tensor, target: Path, **settings: object) -> None:
    """Static quantisation with one batch of eight images."""
    quantization.quantize_static(source, target, _Calibration(images), **settings)


def dynamic(source: Path, images: torch.Tensor, target: Path) -> None:
    """Dynamic quantisation, which needs no images."""
    del images
    quantization.quantize_dynamic(source, target)


def half(source: Path, images: torch.Tensor, target: Path, *, keep: bool) -> None:
    """All weights and steps at float16; `keep` leaves input and output at float32."""
    del images
    model = OnnxModel(convert_float_to_float16(onnx.load(source), keep_io_types=keep))
    model.topological_sort()
    onnx.save(model.model, target)


_QDQ, _QOPERATOR = quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator
EXPORTERS: dict[str, Callable[[Path, torch.Tensor, Path], None]] = {
    "qdq": partial(static, quant_format=_QDQ),
    "qdq-per-channel": partial(static, quant_format=_QDQ, per_channel=True),
    "qdq-uint8": partial(static, quant_format=_QDQ, activation_type=quantization.QuantType.QUInt8),
    "qoperator": partial(static, quant_format=_QOPERATOR),
    "dynamic": dynamic,
    "fp16": partial(half, keep=True),
    "fp16-input": partial(half, keep=False),
}


def cases() -> Iterator[Case]:
    """Every model by every way; what computes in integer layers must be refused."""
    for name in MODELS:
        for exporter in EXPORTERS:
            yield Case(
                family="fp16" if exporter.startswith("fp16") else "quantised",
                model=name,
                exporter=exporter,
                write=partial(write, name, exporter),
                refusal=exporter == "qoperator",
            )


def write(name: str, exporter: str, target: Path) -> None:
    """Exports the float model at opset 17 and quantises that."""
    library, architecture = MODELS[name]
    own = name == "small_cnn"
    images = torch.randn(8, 3, 64, 64) if own else torch_models.images(library, architecture, 8)
    module = small_cnn() if own else torch_models.net(library, architecture)
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser recommends its preprocessing
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        Legacy(opset=17)(module, images[:2], source)
        EXPORTERS[exporter](source, images, target)
