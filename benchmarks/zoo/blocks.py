"""What the architectures of the zoo are made of: layers, blocks and a head."""

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


def pooled_head(inputs: int, classes: int) -> list[nn.Module]:
    """The mean of each channel, and a linear layer."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]


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


class Dense(nn.Module):
    """A convolution whose output is joined to its input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, growth, 3, padding=1, bias=False)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images, self.body(images)], 1)


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
