"""The classes a search aims at, all at once: which samples count for each, and how far each got.

Letters in shapes: g classes of a group, B samples, K classes.
"""

from __future__ import annotations

import numpy as np
import torch

from stages import graph
from stages.types import Floats, TorchTwin

SUREST = 50.0
"""Bound on sureness, for margins that are the same on every sample."""


def groups(
    twin: TorchTwin, images: torch.Tensor, classes: torch.Tensor, memory_mb: int
) -> list[torch.Tensor]:
    """Classes (n,), or rows of whatever kind, in groups that fit into `memory_mb` MiB.

    What counts are the activations, forward and backward, of each row with all of the images; a
    group has at least one row.
    """
    floats = sum(
        int(np.prod(shape))
        for shape in graph.shapes(twin.module, images[:1].to(twin.device)).values()
    )
    size = max(1, memory_mb * 2**20 // (3 * 4 * floats * len(images)))
    return list(torch.split(classes, size))


def mean_over(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean (g,) of values (g, B) over the samples that count, those of other classes."""
    return (values * counted).sum(1) / counted.sum(1).clamp(min=1)


def sureness(values: torch.Tensor, counted: torch.Tensor, usual: float) -> torch.Tensor:
    """How surely margins (g, B) are positive over the samples that count: (g,).

    A positive mean is told in the standard deviation of its values, and is `SUREST` at most; any
    other in the `usual` deviation, as to be lost evenly is no merit. Source: for positive means,
    the standardised mean of one sample, as in Cohen's d.
    """
    mean = mean_over(values, counted)
    variance = mean_over((values - mean[:, None]).square(), counted)
    won = (mean / variance.sqrt().clamp(min=1e-12)).clamp(max=SUREST)
    return torch.where(mean > 0, won, mean / usual)


def margins(logits: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """By how much the target's logit exceeds the largest other one: (g, B) of logits (g, B, K)."""
    targets = group[:, None, None].expand(-1, logits.shape[1], 1)
    reached = logits.gather(-1, targets).squeeze(-1)
    rivals = logits.scatter(-1, targets, -torch.inf).amax(-1)
    return reached - rivals


def clean_lead(logits: Floats) -> float:
    """The median, over samples and classes, of the first logit's lead over others (N, K).

    This is how far a class usually lies from winning, which is the way a trigger has to go; with
    it as a unit, nets of any scale compare.
    """
    leads = np.sort(logits.max(axis=1, keepdims=True) - logits, axis=1)[:, 1:]
    return max(float(np.median(leads)), 1e-6)
