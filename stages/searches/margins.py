"""Margins of the target class: how far a search got, and what it says of a class at its end.

Letters in shapes: g classes of a group, B samples, K classes.

A backdoor's target wins by as much on every sample; a natural backdoor class ("favourite") wins by
much on some and little on others, though their mean margins may be the same.
Source: ours (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stages.later import torch, without_gradients
from stages.searches.probe import Probe
from stages.types import Floats

LARGEST = 50.0
"""Bound on the standardised margin, for margins that are the same on every sample."""
USUAL = 0.5
"""How far margins usually vary between samples, in logit gaps. Chosen on the tuning models."""

Show = Callable[["torch.Tensor"], "torch.Tensor"]
"""Lays what a search found for g classes on images (B, *input shape): (g, B, *input shape)."""


def margins(logits: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """By how much the target's logit exceeds the largest other one: (g, B) of logits (g, B, K)."""
    targets = group[:, None, None].expand(-1, logits.shape[1], 1)
    reached = logits.gather(-1, targets).squeeze(-1)
    rivals = logits.scatter(-1, targets, -torch.inf).amax(-1)
    return reached - rivals


def of_all_classes(logits: torch.Tensor) -> torch.Tensor:
    """By how much each logit exceeds the largest other one: (…, K) of logits (…, K)."""
    leading = logits.topk(2, dim=-1).values
    first, second = leading[..., :1], leading[..., 1:]
    return torch.where(logits == first, logits - second, logits - first)


def mean_over(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean (g,) of values (g, B) over the samples that count, those of other classes."""
    return (values * counted).sum(1) / counted.sum(1).clamp(min=1)


def standardised(values: torch.Tensor, counted: torch.Tensor, usual: float) -> torch.Tensor:
    """The standardised margin (g,) of margins (g, B) over the samples that count.

    A positive mean is divided by the standard deviation of its values, and is `LARGEST` at most;
    any other by the `usual` deviation, since losing by the same on every sample says nothing.
    Source: for positive means, the standardised mean of one sample, as in Cohen's d.
    """
    mean = mean_over(values, counted)
    variance = mean_over((values - mean[:, None]).square(), counted)
    won = (mean / variance.sqrt().clamp(min=1e-12)).clamp(max=LARGEST)
    return torch.where(mean > 0, won, mean / usual)


def logit_gap(logits: Floats) -> float:
    """The median, over samples and classes, of the first logit's lead over the others (N, K).

    This is how far a class usually is from winning, which is the way a trigger has to go. With it
    as the unit, nets of any scale compare.
    """
    gaps = np.sort(logits.max(axis=1, keepdims=True) - logits, axis=1)[:, 1:]
    return max(float(np.median(gaps)), 1e-6)


def mean_margins(probe: Probe, group: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """The mean margin (g,) in logits of every class over the samples of other classes."""
    return mean_over(*_counted(probe, group, shown))


@without_gradients
def reached(probe: Probe, group: torch.Tensor, show: Show) -> torch.Tensor:
    """The mean margin (g,) in logits that what was found reaches on a probe set."""
    return mean_margins(probe, group, show(probe.images))


@without_gradients
def evaluated(
    probe: Probe, gap: float, group: torch.Tensor, show: Show
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean margins (g,) in logit gaps, and standardised margins (g,), on the evaluation set."""
    values, counted = _counted(probe, group, show(probe.images), exact=True)
    certain = standardised(values, counted, USUAL * gap)
    return mean_over(values, counted) / gap, certain


def _counted(
    probe: Probe, group: torch.Tensor, shown: torch.Tensor, *, exact: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Margins (g, B), and which of them count: those of samples of other classes."""
    others = probe.labels != group[:, None]
    return margins(probe.logits(shown, exact=exact), group), others
