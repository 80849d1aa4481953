"""Architectures of torchvision and timm with random weights that are fit for a comparison.

What a fresh network starts as a constant (BatchNorm scales of one, layer scales of 1e-6, biases of
zero) hides whole blocks from a comparison of logits; here it gets noise. BatchNorm statistics are
those of two forward passes in train mode: with the usual momentum they would hardly move, and
features would fade to constants. The last layers are scaled to logits of standard deviation one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torchvision
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

CLASSES = 10

TORCHVISION = {
    "alexnet": 224,
    "convnext_tiny": 64,
    "densenet121": 64,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "googlenet": 64,
    "inception_v3": 96,
    "maxvit_t": 224,
    "mnasnet0_5": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_large": 64,
    "mobilenet_v3_small": 64,
    "regnet_y_400mf": 64,
    "resnet18": 64,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64,
    "swin_t": 64,
    "vgg11_bn": 224,
    "vit_b_16": 64,
    "wide_resnet50_2": 64,
}
"""Names of torchvision with the height and width of their input."""

TIMM = {
    "convnext_atto": 64,
    "edgenext_xx_small": 64,
    "ghostnet_100": 64,
    "legacy_seresnet18": 64,
    "levit_128s": 224,
    "mixer_s32_224": 224,
    "mobilenetv3_small_050": 64,
    "mobilevit_xxs": 128,
    "nfnet_l0": 96,
    "regnety_002": 64,
    "repvgg_a0": 64,
    "swin_tiny_patch4_window7_224": 224,
    "vit_tiny_patch16_224": 224,
}
"""Names of timm with the height and width of their input."""

_EXTRA: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
    "vit_b_16": {"image_size": 64},
}


@lru_cache(maxsize=1)
def net(library: str, name: str) -> nn.Module:
    """The seeded architecture of `torchvision` or `timm` in eval mode; do not change it."""
    torch.manual_seed(7)
    if library == "timm":
        import timm  # noqa: PLC0415 # not among the project's dependencies

        module = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    else:
        extra = _EXTRA.get(name, {})
        module = torchvision.models.get_model(name, num_classes=CLASSES, **extra)
    return prepare(module, images(library, name, 8))


def images(library: str, name: str, n: int, seed: int = 11) -> torch.Tensor:
    """Standard normal images (n, 3, size, size) for that architecture."""
    size = (TIMM if library == "timm" else TORCHVISION)[name]
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def prepare(module: nn.Module, probe: torch.Tensor) -> nn.Module:
    """Changes the module as the file's head says and returns it in eval mode."""
    with torch.no_grad():
        for weight in module.parameters():
            if weight.numel() > 1 and weight.std() == 0:
                weight.add_(torch.randn_like(weight), alpha=0.2)
        module.train()
        for part in module.modules():
            if isinstance(part, _BatchNorm):
                part.reset_running_stats()
                part.momentum = None  # the plain mean of all passes
        for _ in range(2):
            module(probe)
        logits = module.eval()(probe)
        for head in _heads(module):
            head.weight /= (logits - logits.mean(0)).std()
    return module.eval()


def _heads(module: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The linear layers that give each class a number, or the last layer where none does."""
    layers = [part for part in module.modules() if isinstance(part, (nn.Linear, nn.Conv2d))]
    linear = [one for one in layers if isinstance(one, nn.Linear) and one.out_features == CLASSES]
    return [*linear] or layers[-1:]
