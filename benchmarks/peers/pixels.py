"""The range in which pixels are valid, and images in units of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

NARROWEST = 1e-6  # keeps a channel that never changes from dividing by zero


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Lowest value, width of the range and standard deviation of every channel, each (C, 1, 1)."""

    low: torch.Tensor
    width: torch.Tensor
    deviation: torch.Tensor

    def to_unit(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) with the valid range mapped to [0, 1]."""
        return (images - self.low) / self.width

    def from_unit(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) in [0, 1] in the valid range."""
        return self.low + self.width * images


def measure(images: torch.Tensor) -> Pixels:
    """The pixels of clean images (N, C, H, W)."""
    channels = images.transpose(0, 1).flatten(1)
    low, high = (each[:, None, None] for each in channels.aminmax(dim=1))
    return Pixels(
        low=low,
        width=(high - low).clamp(min=NARROWEST),
        deviation=channels.std(1)[:, None, None].clamp(min=NARROWEST),
    )
