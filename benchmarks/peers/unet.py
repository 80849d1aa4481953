"""A small U-Net that maps images to images of the same size."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    """Images (N, C, H, W) in [0, 1] to images in [0, 1], for any H and W of at least 2^levels.

    `width` channels at full size, twice as many after each of `levels` halvings. Upwards, maps
    are interpolated to the size of the skip connection they meet.
    """

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(block(*pair) for pair in pairwise([channels, *widths]))
        self.up = nn.ModuleList(
            block(upper + lower, upper) for upper, lower in reversed(list(pairwise(widths)))
        )
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The generated images (N, C, H, W)."""
        skips = [self.down[0](images)]
        for each in list(self.down)[1:]:
            skips.append(each(functional.max_pool2d(skips[-1], 2)))
        value = skips.pop()
        for each in self.up:
            skip = skips.pop()
            grown = functional.interpolate(value, size=skip.shape[2:])
            value = each(torch.cat([grown, skip], dim=1))
        return torch.sigmoid(self.last(value))


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3×3 convolutions with BatchNorm and ReLU."""
    return nn.Sequential(
        *(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)),
        *(nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)),
        *(nn.BatchNorm2d(outputs), nn.ReLU()),
    )
