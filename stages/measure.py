"""What is told of a class once a search has ended: its mean margin, or how surely it wins.

A backdoor's target wins by as much on every sample, a natural favourite by much on some and little
on others, though their mean margins may be the same.
Source: ours (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from stages import targets
from stages.canvas import Canvas
from stages.types import PreconditionResult

Show = Callable[[torch.Tensor], torch.Tensor]
"""Lays what a search found for g classes on images (B, *input shape): (g, B, *input shape)."""
Measure = Callable[[torch.Tensor, Show], torch.Tensor]
"""A number per class of a group (g,)."""
Measures = Callable[[torch.Tensor, Show], tuple[torch.Tensor, torch.Tensor]]
"""Two numbers per class of a group, (g,) each."""


USUAL = 0.5
"""How far margins usually vary between samples, in clean leads. Chosen on the tuning models."""


def mean_margins(ground: Canvas, group: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """The mean margin (g,) of every class over the samples of other classes."""
    return targets.mean_over(*_counted_margins(ground, group, shown))


def mean_measure(ground: Canvas) -> Measure:
    """Tells the mean margins (g,) of classes on a canvas."""
    return torch.no_grad()(lambda group, show: mean_margins(ground, group, show(ground.images)))


def lead_and_sureness(judging: Canvas, clean: PreconditionResult) -> Measures:
    """Tells mean margins (g,) of classes on a canvas, in clean leads, and how surely they win."""
    lead = targets.clean_lead(clean.logits)

    @torch.no_grad()
    def measure(group: torch.Tensor, show: Show) -> tuple[torch.Tensor, torch.Tensor]:
        margins, counted = _counted_margins(judging, group, show(judging.images))
        surely = targets.sureness(margins, counted, USUAL * lead)
        return targets.mean_over(margins, counted) / lead, surely

    return measure


def sureness_measure(judging: Canvas, clean: PreconditionResult) -> Measure:
    """Tells how surely classes win (g,) on a canvas; see `targets.sureness`."""
    measure = lead_and_sureness(judging, clean)
    return lambda group, show: measure(group, show)[1]


def _counted_margins(
    ground: Canvas, group: torch.Tensor, shown: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Margins (g, B), and which of them count: those of samples of other classes."""
    others = ground.labels != group[:, None]
    return targets.margins(ground.logits(shown), group), others
