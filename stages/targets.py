"""The classes a search aims at, all at once: which samples count for each, and how far each got.

Letters in shapes: g classes of a group, B samples, K classes.
"""

from __future__ import annotations

import numpy as np
import torch

from stages import graph
from stages.types import Floats, TorchTwin


def groups(
    twin: TorchTwin, images: torch.Tensor, memory_mb: int, copies: int = 1
) -> list[torch.Tensor]:
    """The classes in groups whose activations fit into `memory_mb` MiB, forward and backward.

    Every class is tried in so many `copies` on all images at once.
    """
    floats = sum(
        int(np.prod(shape))
        for shape in graph.shapes(twin.module, images[:1].to(twin.device)).values()
    )
    per_class = 3 * 4 * floats * len(images) * copies
    size = max(1, memory_mb * 2**20 // per_class)
    return list(torch.split(torch.arange(twin.classes, device=twin.device), size))


def mean_over(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean (g,) of values (g, B) over the samples that count, those of other classes."""
    return (values * counted).sum(1) / counted.sum(1).clamp(min=1)


def margins(logits: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """By how much the target's logit exceeds the largest other one: (g, B) of logits (g, B, K)."""
    targets = group[:, None, None].expand(-1, logits.shape[1], 1)
    reached = logits.gather(-1, targets).squeeze(-1)
    rivals = logits.scatter(-1, targets, -torch.inf).amax(-1)
    return reached - rivals


def clean_margin(logits: Floats) -> float:
    """The median, over samples, of the first logit's lead over the second, of logits (N, K)."""
    ordered = np.sort(logits, axis=1)
    return max(float(np.median(ordered[:, -1] - ordered[:, -2])), 1e-6)
