"""The architectures of the zoo: images (N, channels, H, W) to logits (N, classes).

`side` is H = W. The first five are for tuning, the next three for calibration, the rest is only
reported on.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from benchmarks.zoo import public
from benchmarks.zoo.blocks import (
    Attention,
    Dense,
    Inverted,
    MeanToken,
    Mixing,
    Patches,
    PreActivation,
    Residual,
    conv_bn,
    pooled_head,
)


def vgg(channels: int, classes: int, side: int) -> nn.Module:
    """Five convolutions with BatchNorm, average pooling."""
    return nn.Sequential(
        conv_bn(channels, 16),
        conv_bn(16, 16),
        nn.MaxPool2d(2),
        conv_bn(16, 32),
        conv_bn(32, 32),
        nn.MaxPool2d(2),
        conv_bn(32, 64),
        *pooled_head(64, classes),
    )


def plain(channels: int, classes: int, side: int) -> nn.Module:
    """Three convolutions without BatchNorm and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def resnet(channels: int, classes: int, side: int) -> nn.Module:
    """Three residual blocks with BatchNorm."""
    return nn.Sequential(
        conv_bn(channels, 16),
        Residual(16, 16, 1, nn.BatchNorm2d),
        Residual(16, 32, 2, nn.BatchNorm2d),
        Residual(32, 64, 2, nn.BatchNorm2d),
        *pooled_head(64, classes),
    )


def mobilenet(channels: int, classes: int, side: int) -> nn.Module:
    """Depthwise separable convolutions with BatchNorm."""

    def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            conv_bn(inputs, inputs, stride, groups=inputs), conv_bn(inputs, outputs, size=1)
        )

    return nn.Sequential(
        conv_bn(channels, 16),
        separable(16, 32, 2),
        separable(32, 48, 1),
        separable(48, 64, 2),
        separable(64, 64, 1),
        *pooled_head(64, classes),
    )


def vit(channels: int, classes: int, side: int) -> nn.Module:
    """A vision transformer of three blocks on 4×4 patches."""
    return nn.Sequential(
        Patches(channels, side, 48, 4),
        *(Attention(48) for _ in range(3)),
        nn.LayerNorm(48),
        MeanToken(),
        nn.Linear(48, classes),
    )


def densenet(channels: int, classes: int, side: int) -> nn.Module:
    """Six densely connected convolutions with BatchNorm before each."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        *(Dense(16 + 8 * index, 8) for index in range(2)),
        nn.AvgPool2d(2),
        *(Dense(32 + 8 * index, 8) for index in range(2)),
        nn.AvgPool2d(2),
        *(Dense(48 + 8 * index, 8) for index in range(2)),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        *pooled_head(64, classes),
    )


def groupnorm(channels: int, classes: int, side: int) -> nn.Module:
    """A residual net with GroupNorm, which no exporter folds."""

    def norm(width: int) -> nn.Module:
        return nn.GroupNorm(4, width)

    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        Residual(16, 24, 2, norm),
        Residual(24, 48, 2, norm),
        *pooled_head(48, classes),
    )


def lenet(channels: int, classes: int, side: int) -> nn.Module:
    """Two 5×5 convolutions with tanh and average pooling, three linear layers."""
    return nn.Sequential(
        nn.Conv2d(channels, 12, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(12, 24, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * (side // 4) ** 2, 96),
        nn.Tanh(),
        nn.Linear(96, 64),
        nn.Tanh(),
        nn.Linear(64, classes),
    )


def pooled_flat(channels: int, classes: int, side: int) -> nn.Module:
    """Three convolutions with BatchNorm, pooled to 2×2 and flattened, and two linear layers."""
    return nn.Sequential(
        conv_bn(channels, 16),
        nn.MaxPool2d(2),
        conv_bn(16, 32),
        nn.MaxPool2d(2),
        conv_bn(32, 48),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(192, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def vgg_flat(channels: int, classes: int, side: int) -> nn.Module:
    """Six convolutions with BatchNorm, whose last map is flattened, and two linear layers."""
    return nn.Sequential(
        conv_bn(channels, 12),
        conv_bn(12, 24),
        nn.MaxPool2d(2),
        conv_bn(24, 32),
        conv_bn(32, 32),
        nn.MaxPool2d(2),
        conv_bn(32, 48),
        conv_bn(48, 48),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(48 * (side // 8) ** 2, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def preact(channels: int, classes: int, side: int) -> nn.Module:
    """Four pre-activation residual blocks with SiLU."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        PreActivation(16, 24, 2),
        PreActivation(24, 24, 1),
        PreActivation(24, 48, 2),
        PreActivation(48, 48, 1),
        nn.BatchNorm2d(48),
        nn.SiLU(),
        *pooled_head(48, classes),
    )


def mobilenet2(channels: int, classes: int, side: int) -> nn.Module:
    """Five inverted residuals with ReLU6."""
    return nn.Sequential(
        conv_bn(channels, 12, 2, activation=nn.ReLU6),
        Inverted(12, 16, 1),
        Inverted(16, 16, 1),
        Inverted(16, 24, 2),
        Inverted(24, 24, 1),
        conv_bn(24, 64, size=1, activation=nn.ReLU6),
        *pooled_head(64, classes),
    )


def allconv(channels: int, classes: int, side: int) -> nn.Module:
    """Five convolutions with LeakyReLU and strides, without BatchNorm or pooling between."""

    def layer(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.1)]

    return nn.Sequential(
        *layer(channels, 24, 1),
        *layer(24, 24, 2),
        *layer(24, 48, 1),
        *layer(48, 48, 2),
        *layer(48, 64, 1),
        *pooled_head(64, classes),
    )


def mixer(channels: int, classes: int, side: int) -> nn.Module:
    """An MLP-Mixer of three blocks on 4×4 patches."""
    count = (side // 4) ** 2
    return nn.Sequential(
        Patches(channels, side, 48, 4),
        *(Mixing(count, 48) for _ in range(3)),
        nn.LayerNorm(48),
        MeanToken(),
        nn.Linear(48, classes),
    )


Build = Callable[[int, int, int], nn.Module]
TUNING: dict[str, Build] = {
    "vgg": vgg,
    "plain": plain,
    "resnet": resnet,
    "mobilenet": mobilenet,
    "vit": vit,
}
CALIBRATION: dict[str, Build] = {"densenet": densenet, "groupnorm": groupnorm, "lenet": lenet}
FAVOURING: dict[str, Build] = {"pooled-flat": pooled_flat}
"""For calibration: nets that favour a class more than the others do."""
REPORT: dict[str, Build] = {
    "vgg-flat": vgg_flat,
    "preact": preact,
    "mobilenet2": mobilenet2,
    "allconv": allconv,
    "mixer": mixer,
}
ARCHITECTURES = TUNING | CALIBRATION | FAVOURING | REPORT | public.PUBLIC

LEARNING_RATES = {"vit": 2e-3, "mixer": 2e-3, "allconv": 3e-3, "lenet": 2e-3}
"""Peak rates of AdamW where the usual 5e-3 is too high."""
