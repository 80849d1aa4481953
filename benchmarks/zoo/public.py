"""Small nets that others wrote, from torchvision and timm, with stems adapted to small images.

Images (N, channels, H, W) of 32 pixels a side or more to logits (N, classes).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import timm
import torchvision
from torch import nn

SMALL = 64
"""Images with sides below this keep their size in the first convolution."""


def _adapted(model: nn.Module, channels: int, side: int) -> nn.Module:
    """The net with a first convolution that takes so many channels and suits the size."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            first = nn.Conv2d(
                channels,
                module.out_channels,
                module.kernel_size,  # type: ignore[arg-type] # pairs
                1 if side < SMALL else module.stride,  # type: ignore[arg-type]
                module.padding,  # type: ignore[arg-type]
                bias=module.bias is not None,
            )
            model.set_submodule(name, first)
            break
    return model


def _torchvision(name: str, channels: int, classes: int, side: int) -> nn.Module:
    model = torchvision.models.get_model(name, weights=None, num_classes=classes)
    return _adapted(model, channels, side)


def _timm(name: str, channels: int, classes: int, side: int) -> nn.Module:
    return _adapted(timm.create_model(name, num_classes=classes), channels, side)


Build = Callable[[int, int, int], nn.Module]
TUNING: dict[str, Build] = {
    "shufflenet": partial(_torchvision, "shufflenet_v2_x0_5"),
    "timm-resnet": partial(_timm, "test_resnet"),
}
CALIBRATION: dict[str, Build] = {
    "timm-mobilenet3": partial(_timm, "mobilenetv3_small_050"),
}
REPORT: dict[str, Build] = {
    "timm-byobnet": partial(_timm, "test_byobnet"),
    "timm-efficientnet": partial(_timm, "test_efficientnet"),
    "timm-lcnet": partial(_timm, "lcnet_050"),
    "mobilenet3": partial(_torchvision, "mobilenet_v3_small"),
}
PUBLIC = TUNING | CALIBRATION | REPORT
