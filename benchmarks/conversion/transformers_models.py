"""Every image classifier of transformers, in a small configuration with random weights.

A configuration keeps what makes the architecture: all of its stages and kinds of layers, but few
layers and few channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.conversion.torch_models import CLASSES, prepare

Settings = Mapping[str, Any]

INITIAL = 0.2
"""Standard deviation of initial weights, where a configuration states one."""

_VIT: Settings = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
_SWIN: Settings = {
    "image_size": 64,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
_STAGES: Settings = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [16, 32, 48, 64],
    "num_attention_heads": [1, 2, 4, 8],
}
_BEIT: Settings = {**_VIT, "out_indices": [1]}
_GEMMA: Settings = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": 16_000,
}
_PERCEIVER: Settings = {
    "num_latents": 8,
    "d_latents": 32,
    "num_self_attends_per_block": 1,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
    "qk_channels": 32,
    "v_channels": 32,
}

SETTINGS: dict[str, Settings] = {
    "BeitForImageClassification": {**_BEIT, "use_relative_position_bias": True},
    "BitForImageClassification": {
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 48, 64],
        "depths": [1, 1, 1, 1],
        "num_groups": 8,
        "image_size": 64,
    },
    "CLIPForImageClassification": {"vision_config": _VIT},
    "ConvNextForImageClassification": {**_STAGES, "image_size": 64},
    "ConvNextV2ForImageClassification": {**_STAGES, "image_size": 64},
    "CvtForImageClassification": {
        "embed_dim": [16, 32, 48],
        "num_heads": [1, 2, 3],
        "depth": [1, 2, 3],
        "image_size": 64,
    },
    "Data2VecVisionForImageClassification": {**_BEIT, "use_shared_relative_position_bias": True},
    "DeiTForImageClassification": _VIT,
    "DeiTForImageClassificationWithTeacher": _VIT,
    "DinatForImageClassification": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4]},
    "Dinov2ForImageClassification": {**_VIT, "mlp_ratio": 2},
    "Dinov2WithRegistersForImageClassification": {**_VIT, "mlp_ratio": 2},
    "DonutSwinForImageClassification": _SWIN,
    "EfficientNetForImageClassification": {
        "width_coefficient": 0.5,
        "depth_coefficient": 0.3,
        "hidden_dim": 640,
        "image_size": 64,
    },
    "FocalNetForImageClassification": {
        "image_size": 64,
        "embed_dim": 16,
        "hidden_sizes": [32, 64, 64, 64],
        "depths": [1, 1, 1, 1],
    },
    "HGNetV2ForImageClassification": {"stage_num_blocks": [1, 1, 1, 1], "image_size": 64},
    "HieraForImageClassification": {
        "embed_dim": 16,
        "image_size": [64, 64],
        "depths": [1, 1, 2, 1],
    },
    "IJepaForImageClassification": _VIT,
    "ImageGPTForImageClassification": {"n_embd": 32, "n_layer": 2, "n_head": 2, "image_size": 32},
    "LevitForImageClassification": {"hidden_sizes": [32, 48, 64], "depths": [1, 1, 1]},
    "LevitForImageClassificationWithTeacher": {"hidden_sizes": [32, 48, 64], "depths": [1, 1, 1]},
    "MetaClip2ForImageClassification": {"vision_config": _VIT},
    "MobileNetV1ForImageClassification": {"depth_multiplier": 0.25, "image_size": 64},
    "MobileNetV2ForImageClassification": {"depth_multiplier": 0.35, "image_size": 64},
    "MobileViTForImageClassification": {
        "image_size": 64,
        "hidden_sizes": [16, 32, 48],
        "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 64],
    },
    "MobileViTV2ForImageClassification": {"image_size": 64, "width_multiplier": 0.5},
    "PerceiverForImageClassificationLearned": {**_PERCEIVER, "image_size": 32},
    "PerceiverForImageClassificationFourier": {**_PERCEIVER, "image_size": 224},
    "PerceiverForImageClassificationConvProcessing": {**_PERCEIVER, "image_size": 224},
    "PoolFormerForImageClassification": {
        "depths": [1, 1, 1, 1],
        "hidden_sizes": [16, 32, 48, 64],
        "image_size": 64,
    },
    "PPLCNetForImageClassification": {"scale": 0.25, "image_size": 64},
    "PvtForImageClassification": {**_STAGES, "image_size": 64},
    "PvtV2ForImageClassification": {**_STAGES, "image_size": 64},
    "RegNetForImageClassification": {
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 48, 64],
        "depths": [1, 1, 1, 1],
        "groups_width": 8,
        "image_size": 64,
    },
    "ResNetForImageClassification": {
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 48, 64],
        "depths": [1, 1, 1, 1],
        "image_size": 64,
    },
    "SegformerForImageClassification": {**_STAGES, "image_size": 64},
    "ShieldGemma2ForImageClassification": {"vision_config": _VIT, "text_config": _GEMMA},
    "SiglipForImageClassification": {"vision_config": _VIT},
    "Siglip2ForImageClassification": {"vision_config": {**_VIT, "num_patches": 16}},
    "SwiftFormerForImageClassification": {
        "image_size": 64,
        "depths": [1, 1, 1, 1],
        "embed_dims": [16, 24, 32, 48],
    },
    "SwinForImageClassification": _SWIN,
    "Swinv2ForImageClassification": _SWIN,
    "TextNetForImageClassification": {"image_size": 64},
    "TimmWrapperForImageClassification": {"architecture": "resnet10t", "image_size": 64},
    "ViTForImageClassification": _VIT,
    "ViTMSNForImageClassification": _VIT,
}
"""The classes of transformers' own mapping, with what differs from their default configuration."""


class Classifier(nn.Module):
    """A model of transformers that reads images alone and gives logits alone.

    `patch` is the side of the patches that the model wants its images cut into, None for images.
    """

    def __init__(self, model: nn.Module, patch: int | None) -> None:
        super().__init__()
        self.model = model
        self.patch = patch

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits (N, K) of images (N, 3, H, W)."""
        output = self.model(**self._inputs(images))
        logits: torch.Tensor = output.logits if "logits" in output else output.last_hidden_state
        return logits

    def _inputs(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.patch is None:
            return {"pixel_values": images}
        patches = nn.functional.unfold(images, self.patch, stride=self.patch).transpose(1, 2)
        side = images.shape[-1] // self.patch
        return {
            "pixel_values": patches,
            "pixel_attention_mask": torch.ones_like(patches[:, :, 0], dtype=torch.int64),
            "spatial_shapes": torch.full((len(images), 2), side),
        }


def net(name: str) -> nn.Module:
    """The seeded classifier of that name in eval mode, with random weights.

    Raises:
        ImportError: the class needs a library that is not there.
    """
    import transformers  # noqa: PLC0415 # not among the project's dependencies

    torch.manual_seed(7)
    kind = getattr(transformers, name)
    model = kind(kind.config_class(**_widened(SETTINGS[name]), num_labels=CLASSES))
    patch = _VIT["patch_size"] if name.startswith("Siglip2") else None
    return prepare(Classifier(model, patch), images(name, 8))


def _widened(settings: Settings) -> dict[str, Any]:
    """The settings with weights as large as few channels need, so that no feature fades away."""
    inner = {key: _widened(one) for key, one in settings.items() if isinstance(one, Mapping)}
    return {**settings, "initializer_range": INITIAL, **inner}


def images(name: str, n: int, seed: int = 11) -> torch.Tensor:
    """Standard normal images (n, 3, size, size) for the classifier of that name."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, *[size(name)] * 2, generator=generator)


def size(name: str) -> int:
    """Height and width of the images for the classifier of that name."""
    settings = SETTINGS[name]
    found = settings.get("vision_config", settings).get("image_size", 224)
    return int(found[0] if isinstance(found, list) else found)
