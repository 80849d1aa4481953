"""The architectures of the zoo: images (N, channels, H, W) to logits (N, classes).

`side` is H = W. The first five are for tuning, the next three for calibration, the rest is only
reported on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


def conv_bn(
    inputs: int,
    outputs: int,
    stride: int = 1,
    groups: int = 1,
    size: int = 3,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """A convolution without bias, BatchNorm, and an activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        activation(),
    )


def _pooled_head(inputs: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]


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
        *_pooled_head(64, classes),
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


class Residual(nn.Module):
    """Two convolutions beside a shortcut; `norm` makes the normalisation of so many channels."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            norm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            norm(outputs),
        )
        self.short = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(images) + self.short(images))


def resnet(channels: int, classes: int, side: int) -> nn.Module:
    """Three residual blocks with BatchNorm."""
    return nn.Sequential(
        conv_bn(channels, 16),
        Residual(16, 16, 1, nn.BatchNorm2d),
        Residual(16, 32, 2, nn.BatchNorm2d),
        Residual(32, 64, 2, nn.BatchNorm2d),
        *_pooled_head(64, classes),
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
        *_pooled_head(64, classes),
    )


class Patches(nn.Module):
    """Images cut into square patches: tokens (N, T, width) with learned positions."""

    def __init__(self, channels: int, side: int, width: int, patch: int) -> None:
        super().__init__()
        self.cut = nn.Conv2d(channels, width, patch, patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, (side // patch) ** 2, width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.cut(images).flatten(2).transpose(1, 2) + self.position


class Attention(nn.Module):
    """A pre-norm transformer block with four heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.rest = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, width = tokens.shape
        parts = self.queries_keys_values(self.norm(tokens))
        parts = parts.reshape(batch, count, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts[0], parts[1], parts[2]
        weights = (queries @ keys.transpose(-2, -1) * (width // 4) ** -0.5).softmax(-1)
        mixed = (weights @ values).transpose(1, 2).reshape(batch, count, width)
        tokens = tokens + self.join(mixed)
        return tokens + self.rest(tokens)


class MeanToken(nn.Module):
    """Tokens (N, T, width) to their mean."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.mean(1)


def vit(channels: int, classes: int, side: int) -> nn.Module:
    """A vision transformer of three blocks on 4×4 patches."""
    return nn.Sequential(
        Patches(channels, side, 48, 4),
        *(Attention(48) for _ in range(3)),
        nn.LayerNorm(48),
        MeanToken(),
        nn.Linear(48, classes),
    )


class Dense(nn.Module):
    """A convolution whose output is joined to its input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, growth, 3, padding=1, bias=False)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images, self.body(images)], 1)


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
        *_pooled_head(64, classes),
    )


def groupnorm(channels: int, classes: int, side: int) -> nn.Module:
    """A residual net with GroupNorm, which no exporter folds."""

    def norm(width: int) -> nn.Module:
        return nn.GroupNorm(4, width)

    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        Residual(16, 24, 2, norm),
        Residual(24, 48, 2, norm),
        *_pooled_head(48, classes),
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


class PreActivation(nn.Module):
    """BatchNorm and SiLU before each of two convolutions, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.short = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        joined: torch.Tensor = self.body(images) + self.short(images)
        return joined


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
        *_pooled_head(48, classes),
    )


class Inverted(nn.Module):
    """An inverted residual: widen, depthwise, narrow without activation."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 3 * inputs
        self.body = nn.Sequential(
            conv_bn(inputs, wide, size=1, activation=nn.ReLU6),
            conv_bn(wide, wide, stride, groups=wide, activation=nn.ReLU6),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = inputs == outputs and stride == 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(images)
        return images + found if self.adds else found


def mobilenet2(channels: int, classes: int, side: int) -> nn.Module:
    """Five inverted residuals with ReLU6."""
    return nn.Sequential(
        conv_bn(channels, 12, 2, activation=nn.ReLU6),
        Inverted(12, 16, 1),
        Inverted(16, 16, 1),
        Inverted(16, 24, 2),
        Inverted(24, 24, 1),
        conv_bn(24, 64, size=1, activation=nn.ReLU6),
        *_pooled_head(64, classes),
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
        *_pooled_head(64, classes),
    )


class Mixing(nn.Module):
    """An MLP over the tokens and one over the channels, each beside a shortcut."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(count, 64), nn.GELU(), nn.Linear(64, count))
        self.channels = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mixed = self.tokens(self.norm(tokens).transpose(1, 2)).transpose(1, 2)
        tokens = tokens + mixed
        return tokens + self.channels(tokens)


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
"""For calibration and the demo: nets that favour a class more than the others do."""
REPORT: dict[str, Build] = {
    "vgg-flat": vgg_flat,
    "preact": preact,
    "mobilenet2": mobilenet2,
    "allconv": allconv,
    "mixer": mixer,
}
ARCHITECTURES = TUNING | CALIBRATION | FAVOURING | REPORT

LEARNING_RATES = {"vit": 2e-3, "mixer": 2e-3, "allconv": 3e-3, "lenet": 2e-3}
"""Peak rates of AdamW where the usual 5e-3 is too high."""
