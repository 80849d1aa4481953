"""Climbing the mean margin of every class at once, whatever the change is that is laid on images.

A search for a trigger says what it shows for given parameters; this makes Adam steps up

    Σ over classes t of   mean over x of other classes   margin_t(f(x')),

which is one batch for all classes, as no class's parameters touch another's margin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

import torch

from stages.canvas import Canvas
from stages.measure import mean_margins

Setting = ParamSpec("Setting")
BETAS = (0.5, 0.9)
"""Adam's decays: short memories, for searches of a few steps."""


def ascend(
    ground: Canvas,
    group: torch.Tensor,
    parameters: Sequence[torch.Tensor],
    show: Callable[Setting, torch.Tensor],
    rate: float,
) -> Callable[Setting, None]:
    """A function that makes one Adam step of `parameters` up the margins of the group's classes.

    `show` gives what the twin is shown, (g, B, *input shape), from the parameters as they are; what
    a step is called with is handed to it.
    """
    optimiser = torch.optim.Adam(parameters, lr=rate, betas=BETAS)

    def step(*args: Setting.args, **kwargs: Setting.kwargs) -> None:
        margin = mean_margins(ground, group, show(*args, **kwargs))
        slopes = torch.autograd.grad(-margin.sum(), list(parameters))
        for each, slope in zip(parameters, slopes, strict=True):
            each.grad = slope
        optimiser.step()

    return step
