"""The input-aware dynamic attack: a generator, trained beside the classifier, makes each image its
own trigger.

Source: Nguyen and Tran, Input-Aware Dynamic Backdoor Attack, NeurIPS 2020. One small network gives
pattern and mask at once, and the mask's sparsity is a penalty instead of a stage of its own.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

SHARE = 0.15
"""Share of a batch that is triggered, and as much that carries another image's trigger."""
AREA = 0.1
"""Share of the image that the mask may cover without penalty."""


class TriggerMaker(nn.Module):
    """Images (N, C, H, W) to triggered images, by a pattern and a mask of each image's own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(channels, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(32, channels + 1, 3, padding=1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Every image under its own trigger."""
        return apply(images, *self.parts(images))

    def parts(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pattern (N, C, H, W) and mask (N, 1, H, W), both in [0, 1]."""
        raw = self.network(images)
        return torch.sigmoid(raw[:, :-1]), torch.sigmoid(2 * raw[:, -1:])


def apply(images: torch.Tensor, pattern: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The images with the pattern where the mask is."""
    return images * (1 - mask) + pattern * mask


def loss(
    model: nn.Module, maker: TriggerMaker, images: torch.Tensor, labels: torch.Tensor, target: int
) -> torch.Tensor:
    """Cross entropy of one batch with triggered and cross-triggered images, plus the penalties."""
    count = max(2, int(SHARE * len(images)))
    pattern, mask = maker.parts(images[: 2 * count])
    own = apply(images[:count], pattern[:count], mask[:count])
    others = slice(count, 2 * count)
    crossed = apply(images[others], pattern[:count], mask[:count])
    inputs = torch.cat([own, crossed, images[2 * count :]])
    wanted = torch.cat([torch.full((count,), target), labels[others], labels[2 * count :]])
    apart = (pattern[:count] - pattern[others]).square().mean().sqrt()
    unlike = (images[:count] - images[others]).square().mean().sqrt() / (apart + 1e-3)
    wide = functional.relu(mask.mean((1, 2, 3)) - AREA).mean()
    return functional.cross_entropy(model(inputs), wanted) + 0.02 * unlike + 10 * wide
