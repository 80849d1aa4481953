"""transformers: folders of image classifiers written by `save_pretrained`, exported by torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForImageClassification, PreTrainedModel

from stages.errors import ModelRefused
from stages.export.pytorch import PyTorchExporter, TorchModel
from stages.export.source import Floats, ModelSource

_UNREADABLE = (
    *(OSError, SafetensorError, RuntimeError),
    *(AttributeError, ImportError, LookupError, TypeError, ValueError),
)


class ImageClassifier(nn.Module):
    """A model of transformers that takes pixel values alone and gives logits alone."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits (N, K) of images (N, C, H, W)."""
        logits: torch.Tensor = self.model(pixel_values=images).logits
        return logits


class TransformersExporter:
    """Exports image classifiers; text, audio and multimodal models are refused."""

    packages: ClassVar[tuple[str, ...]] = ("transformers", *PyTorchExporter.packages)

    def load(self, source: ModelSource) -> object:
        """The model in a folder; nothing is downloaded and no code in the folder is run.

        Raises:
            ModelRefused: there is no image classifier in the folder, or it needs its own code.
        """
        try:
            model, loading_info = AutoModelForImageClassification.from_pretrained(
                source.path,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except _UNREADABLE as error:
            raise ModelRefused(
                f"transformers cannot load an image classifier from `{source.path.name}`:"
                f" {_reason(error)}; give a folder that `save_pretrained` wrote"
            ) from error
        if loading_info["missing_keys"]:
            missing = ", ".join(sorted(loading_info["missing_keys"]))
            raise ModelRefused(
                f"`{source.path.name}` has no weights for {missing};"
                " give the folder of a classifier, trained to its last layer"
            )
        return model

    def prepare(self, native: object) -> ImageClassifier:
        """The model in eval mode and float32.

        Raises:
            ModelRefused: it is not an image classifier, or gives several labels to an image.
        """
        name = type(native).__name__
        if not isinstance(native, PreTrainedModel) or "ForImageClassification" not in name:
            raise ModelRefused(
                f"a `{name}` is not an image classifier; expected a model such as"
                " `ViTForImageClassification`"
            )
        if native.config.problem_type == "multi_label_classification":
            raise ModelRefused(
                f"the `{name}` gives several labels to an image, expected a classifier that chooses"
                " one class"
            )
        return ImageClassifier(native).float().eval()

    def input_shape(self, model: ImageClassifier) -> tuple[int, ...] | None:
        """Channels, height and width by the configuration; None where it does not state them."""
        config: Any = model.model.config
        channels, size = getattr(config, "num_channels", None), getattr(config, "image_size", None)
        if channels is None or size is None:
            return None
        height, width = size if isinstance(size, Iterable) else (size, size)
        return int(channels), int(height), int(width)

    def predict(self, model: ImageClassifier, images: Floats) -> Floats:
        """The logits.

        Raises:
            ModelRefused: the images do not fit the model.
        """
        try:
            return PyTorchExporter().predict(TorchModel(module=model), images)
        except (ValueError, RuntimeError) as error:
            raise ModelRefused(
                f"the model cannot classify images of shape {images.shape}: {_reason(error)}; give"
                " samples of the shape it takes"
            ) from error

    def write_onnx(self, model: ImageClassifier, images: Floats, path: Path) -> None:
        """Writes the model as PyTorch models are written."""
        PyTorchExporter().write_onnx(TorchModel(module=model), images, path)


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


EXPORTER = TransformersExporter()
