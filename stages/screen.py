"""Which classes are searched to the end where there are many, and what is said of the others.

Up to `all_up_to` classes all of them are. Beyond that every class gets a brief search; those that
lead it get the whole one, and so do some that are drawn at random and stand for the ordinary. What
is said of a class that is not searched to the end is what was found for one of the ordinary, so
that medians and deviations over the classes keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from stages.types import TorchTwin


@dataclass(frozen=True, kw_only=True)
class ScreenConfig:
    """Settings of the screen."""

    all_up_to: int = 24
    """Number of classes up to which all of them are searched to the end."""
    leading: int = 8
    """Classes that lead the brief search and are searched to the end."""
    ordinary: int = 6
    """Classes drawn at random that are searched to the end."""

    def screens(self, classes: int) -> bool:
        """Whether so many classes are screened."""
        return classes > max(self.all_up_to, self.leading + self.ordinary)

    def searched(self, classes: int) -> int:
        """How many of so many classes are searched to the end."""
        return self.leading + self.ordinary if self.screens(classes) else classes


@dataclass(frozen=True, kw_only=True, eq=False)
class Screened:
    """The `chosen` (n,) of K `classes`: all of them, or some.

    Of some, the first lead the brief search, and the last `ordinary` ones are drawn at random.
    """

    chosen: torch.Tensor
    classes: int
    ordinary: int

    def of_all(self, found: torch.Tensor) -> torch.Tensor:
        """What is said (K,) of all classes, from what was found (n,) for the chosen ones."""
        if len(self.chosen) == self.classes:
            return found
        turns = torch.arange(self.classes, device=found.device) % self.ordinary
        return found[-self.ordinary :][turns].index_copy(0, self.chosen, found)


def screen(
    twin: TorchTwin,
    search: Callable[[torch.Tensor], torch.Tensor],
    config: ScreenConfig,
    seed: int,
) -> Screened:
    """The classes that are worth a whole search; `search` gives brief margins (n,) of classes (n,).

    Deterministic for a given seed, which draws the ordinary classes.
    """
    classes = torch.arange(twin.classes, device=twin.device)
    if not config.screens(twin.classes):
        return Screened(chosen=classes, classes=len(classes), ordinary=0)
    brief = search(classes)
    order = brief.argsort(descending=True, stable=True)
    leading, others = order[: config.leading], order[config.leading :].sort().values
    drawn = np.random.default_rng(seed).permutation(len(others))[: config.ordinary]
    ordinary = others[torch.as_tensor(drawn, device=others.device)]
    chosen = torch.cat([leading, ordinary])
    return Screened(chosen=chosen, classes=len(classes), ordinary=config.ordinary)
