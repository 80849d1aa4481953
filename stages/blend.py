"""A blended pattern per class: how far one faint, fixed pattern carries every image to a class.

For every class t at once, over clean samples x of other classes, with a small opacity α,

    max over p of   mean  [ f_t(x') − max over j ≠ t of f_j(x') ],    x' = (1 − α)·x + α·p

with p within the values that inputs take; then again with a stronger α, from where that ended.
The margin of a backdoor's target is larger than that of its neighbours, whatever the trigger looks
like: it was trained to win against everything.
Margins are told in units of the clean samples' own, so that nets of any scale compare.
Source: the margin as statistic is that of MM-BD (arXiv 2205.06900), which has no images under its
patterns (α = 1); with images at α = 0.1 natural favourites stand out less (docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from stages import progress, targets
from stages.ascent import ascend, mean_margins
from stages.canvas import Canvas, canvas
from stages.stage import stage
from stages.types import BlendResult, CleanSamples, PreconditionResult, TorchTwin


@dataclass(frozen=True, kw_only=True)
class BlendConfig:
    """Settings of the blended pattern."""

    samples: int = 32
    """Clean samples, balanced over the classes, that every pattern is blended into."""
    faint: float = 0.1
    """α in (0, 1] of the faint pattern: how much of it is seen."""
    faint_steps: int = 12
    """Adam steps of the faint pattern."""
    strong: float = 0.4
    """α of the strong pattern, which starts as the faint one."""
    strong_steps: int = 8
    """Adam steps of the strong pattern."""
    rate: float = 0.15
    """Adam's learning rate, as a share of the values that inputs take."""
    memory_mb: int = 512
    """Activations that may be held at once, in MiB; more classes are done in groups."""


@stage(version=2)
def find_blend(
    twin: TorchTwin,
    samples: CleanSamples,
    clean: PreconditionResult,
    config: BlendConfig,
    seed: int,
) -> BlendResult:
    """How far the best patterns of every class carry samples of other classes.

    Deterministic for a given seed, which draws the samples and the start. The twin is left as it
    was found.
    """
    ground = canvas(twin, samples, clean, config.samples, seed)
    start = _start(ground, seed)
    groups = targets.groups(twin, ground.images, config.memory_mb)
    step_done = progress.counter(len(groups) * (config.faint_steps + config.strong_steps))
    faint, strong, best, pattern = [], [], -np.inf, start
    for group in groups:
        search = _Search(ground, group, start, config.rate)
        for _ in range(config.faint_steps):
            search.step(config.faint)
            step_done()
        faint.append(search.reached(config.faint))
        if float(faint[-1].max()) > best:
            best, pattern = float(faint[-1].max()), search.pattern(int(faint[-1].argmax()))
        search.restart()
        for _ in range(config.strong_steps):
            search.step(config.strong)
            step_done()
        strong.append(search.reached(config.strong))
    unit = targets.clean_margin(clean.logits)
    margins = (torch.cat(faint) / unit).cpu().numpy()
    return BlendResult(
        margins=margins,
        strong=(torch.cat(strong) / unit).cpu().numpy(),
        leading=int(margins.argmax()),
        pattern=pattern.cpu().numpy(),
    )


def _start(ground: Canvas, seed: int) -> torch.Tensor:
    """Nearly grey shares of the valid range, the same for every class."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(ground.images.shape[1:], generator=generator)
    return (0.5 + 0.1 * noise).clamp(0, 1).to(ground.images.device)


class _Search:
    """The patterns of one group of classes, as shares (g, 1, *input shape) of the valid range."""

    def __init__(
        self, ground: Canvas, group: torch.Tensor, start: torch.Tensor, rate: float
    ) -> None:
        self.ground, self.group, self.rate = ground, group, rate
        self.opacity = 0.0
        self.shares = start.expand(len(group), 1, *start.shape).clone().requires_grad_()
        self.restart()

    def restart(self) -> None:
        """Forgets the optimiser's moments, for another opacity."""
        self._ascend = ascend(self.ground, self.group, [self.shares], self._shown, self.rate)

    def step(self, opacity: float) -> None:
        """One Adam step up the margin of every class, back into the valid range."""
        self.opacity = opacity
        self._ascend()
        self.shares.data.clamp_(0, 1)

    @torch.no_grad()
    def reached(self, opacity: float) -> torch.Tensor:
        """The mean margin (g,) over the samples of other classes."""
        self.opacity = opacity
        return mean_margins(self.ground, self.group, self._shown())

    def pattern(self, row: int) -> torch.Tensor:
        """The pattern (*input shape) of one class of the group."""
        return self.ground.values(self.shares)[row, 0].detach()

    def _shown(self) -> torch.Tensor:
        """The images with the patterns in them, (g, B, *input shape)."""
        patterns = self.ground.values(self.shares)
        return (1 - self.opacity) * self.ground.images + self.opacity * patterns
