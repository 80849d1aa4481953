"""What a trigger is laid on: clean samples, and the values that inputs may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from stages import pixels
from stages.tail import balanced
from stages.types import CleanSamples, PreconditionResult, TorchTwin


@dataclass(frozen=True, kw_only=True, eq=False)
class Canvas:
    """Images (B, *input shape), their labels (B,), and the smallest and largest valid values.

    All lie on the twin's device; `low` and `high` spread over one image.
    """

    twin: TorchTwin
    images: torch.Tensor
    labels: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def values(self, shares: torch.Tensor) -> torch.Tensor:
        """Input values of shares in [0, 1] of the valid range."""
        return self.low + (self.high - self.low) * shares

    def logits(self, shown: torch.Tensor) -> torch.Tensor:
        """Logits (g, B, K) of what is shown to the twin (g, B, *input shape)."""
        flat: torch.Tensor = self.twin.module(shown.flatten(0, 1))
        return flat.reshape(*shown.shape[:2], -1)


def canvases(
    twin: TorchTwin,
    samples: CleanSamples,
    clean: PreconditionResult,
    counts: Sequence[int],
    seed: int,
) -> list[Canvas]:
    """A canvas of each count, the smaller ones with the first samples of the largest."""
    largest = canvas(twin, samples, clean, max(counts), seed)
    return [
        replace(largest, images=largest.images[:count], labels=largest.labels[:count])
        for count in counts
    ]


def canvas(
    twin: TorchTwin, samples: CleanSamples, clean: PreconditionResult, count: int, seed: int
) -> Canvas:
    """Up to `count` correctly classified samples, balanced over the classes, as a canvas."""
    rows = balanced(samples, clean.logits, count, seed)
    low, high = pixels.valid_range(torch.tensor(samples.images))
    return Canvas(
        twin=twin,
        images=torch.tensor(samples.images[rows], device=twin.device),
        labels=torch.tensor(samples.labels[rows], device=twin.device),
        low=low.to(twin.device),
        high=high.to(twin.device),
    )
