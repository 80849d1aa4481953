"""Small image classifiers of transformers, with weights drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers

CLASSES = 5


def vision_transformer(**options: Any) -> transformers.PreTrainedModel:
    """Two blocks of attention on 4 patches."""
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            image_size=16,
            patch_size=8,
            num_labels=CLASSES,
            **options,
        )
    )


def residual_network() -> transformers.PreTrainedModel:
    """Two stages with BatchNorm."""
    return transformers.ResNetForImageClassification(
        transformers.ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
            layer_type="basic",
            num_labels=CLASSES,
        )
    )


def modern_convolutions() -> transformers.PreTrainedModel:
    """ConvNext: depthwise convolutions, LayerNorm and GELU."""
    return transformers.ConvNextForImageClassification(
        transformers.ConvNextConfig(
            hidden_sizes=[8, 16],
            depths=[1, 1],
            num_stages=2,
            patch_size=2,
            image_size=32,
            num_labels=CLASSES,
        )
    )


def mobile_network() -> transformers.PreTrainedModel:
    """MobileNetV2: depthwise convolutions with BatchNorm, padded as in TensorFlow."""
    return transformers.MobileNetV2ForImageClassification(
        transformers.MobileNetV2Config(
            depth_multiplier=0.1, image_size=32, min_depth=4, num_labels=CLASSES
        )
    )


def shifted_windows() -> transformers.PreTrainedModel:
    """Swin: attention in windows that shift."""
    return transformers.SwinForImageClassification(
        transformers.SwinConfig(
            embed_dim=16,
            depths=[1, 1],
            num_heads=[2, 2],
            window_size=4,
            image_size=32,
            patch_size=4,
            num_labels=CLASSES,
        )
    )


MODELS: dict[str, Callable[[], transformers.PreTrainedModel]] = {
    one.__name__: one
    for one in (vision_transformer, modern_convolutions, mobile_network, shifted_windows)
}
