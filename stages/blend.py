"""A blended pattern per class: how far one faint, fixed pattern carries every image to a class.

For every class t at once, over clean samples x of other classes, with a small opacity α,

    max over p of   mean  [ f_t(x') − max over j ≠ t of f_j(x') ],    x' = (1 − α)·x + α·p

with p within the values that inputs take; then again with a stronger α, from where that ended.
The margin of a backdoor's target is larger than that of its neighbours, whatever the trigger looks
like, and much the same on every sample: it was trained to win against everything.
So what is told of a class is its mean margin, in clean leads (`targets.clean_lead`), and how surely
it wins (`targets.sureness`), on samples, most of which no pattern was searched on.
Source: the margin as statistic is that of MM-BD (arXiv 2205.06900), which has no images under its
patterns (α = 1); with images at α = 0.1 natural favourites stand out less (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from stages import progress, targets
from stages.ascent import ascend
from stages.canvas import Canvas, canvases
from stages.measure import Measures, lead_and_sureness, mean_measure
from stages.screen import ScreenConfig, screen
from stages.stage import stage
from stages.types import BlendResult, CleanSamples, PreconditionResult, TorchTwin


@dataclass(frozen=True, kw_only=True)
class BlendConfig:
    """Settings of the blended pattern."""

    samples: int = 16
    """Clean samples, balanced over the classes, that every pattern is blended into."""
    judged_samples: int = 40
    """Clean samples, those of the search among them, that the patterns found are judged on."""
    faint: float = 0.1
    """α in (0, 1] of the faint pattern: how much of it is seen."""
    faint_steps: int = 9
    """Adam steps of the faint pattern."""
    strong: float = 0.4
    """α of the strong pattern, which starts as the faint one."""
    strong_steps: int = 5
    """Adam steps of the strong pattern."""
    rate: float = 0.2
    """Adam's learning rate, as a share of the values that inputs take."""
    brief_samples: int = 4
    """Clean samples of the brief search, where there are many classes."""
    brief_steps: int = 3
    """Adam steps of the faint pattern in the brief search."""
    memory_mb: int = 512
    """Activations that may be held at once, in MiB; more classes are done in groups."""


@stage(version=5)
def find_blend(
    twin: TorchTwin,
    samples: CleanSamples,
    clean: PreconditionResult,
    config: BlendConfig,
    screening: ScreenConfig,
    seed: int,
) -> BlendResult:
    """How far the best patterns of every class carry samples of other classes.

    Deterministic for a given seed, which draws the samples and the start. The twin is left as it
    was found.
    """
    counts = (config.brief_samples, config.samples, config.judged_samples)
    few, some, judging = canvases(twin, samples, clean, counts, seed)
    start = _start(some, seed)
    measure = lead_and_sureness(judging, clean)
    screened = screen(twin, partial(_briefly, few, start, config), screening, seed)
    found = _climbed(some, measure, start, screened.chosen, config)
    leading = int(found.faint.argmax())
    return BlendResult(
        margins=screened.of_all(found.faint).cpu().numpy(),
        sureness=screened.of_all(found.sureness).cpu().numpy(),
        strong=screened.of_all(found.strong).cpu().numpy(),
        leading=int(screened.chosen[leading]),
        pattern=found.patterns[leading].cpu().numpy(),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """Margins (n,) under faint and strong patterns, sureness under the faint ones, and those."""

    faint: torch.Tensor
    sureness: torch.Tensor
    strong: torch.Tensor
    patterns: torch.Tensor


def _briefly(
    ground: Canvas, start: torch.Tensor, config: BlendConfig, classes: torch.Tensor
) -> torch.Tensor:
    """The mean margins (n,) of the classes after a few steps of the faint pattern."""
    groups = targets.groups(ground.twin, ground.images, classes, config.memory_mb)
    step_done = progress.counter(len(groups) * config.brief_steps)
    measure, margins = mean_measure(ground), []
    for group in groups:
        search = _Search(ground, group, start, config.rate)
        search.climb(config.faint, config.brief_steps, step_done)
        margins.append(measure(group, partial(search.shown, config.faint)))
    return torch.cat(margins)


def _climbed(
    ground: Canvas,
    measure: Measures,
    start: torch.Tensor,
    classes: torch.Tensor,
    config: BlendConfig,
) -> _Found:
    """The best patterns of the classes (n,)."""
    groups = targets.groups(ground.twin, ground.images, classes, config.memory_mb)
    step_done = progress.counter(len(groups) * (config.faint_steps + config.strong_steps))
    faint, sureness, strong, patterns = [], [], [], []
    for group in groups:
        search = _Search(ground, group, start, config.rate)
        search.climb(config.faint, config.faint_steps, step_done)
        margins, surely = measure(group, partial(search.shown, config.faint))
        faint.append(margins)
        sureness.append(surely)
        patterns.append(search.patterns())
        search.restart()
        search.climb(config.strong, config.strong_steps, step_done)
        strong.append(measure(group, partial(search.shown, config.strong))[0])
    return _Found(
        faint=torch.cat(faint),
        sureness=torch.cat(sureness),
        strong=torch.cat(strong),
        patterns=torch.cat(patterns),
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
        self.shares = start.expand(len(group), 1, *start.shape).clone().requires_grad_()
        self.restart()

    def restart(self) -> None:
        """Forgets the optimiser's moments, for another opacity."""
        show = partial(self.shown, images=self.ground.images)
        self._ascend = ascend(self.ground, self.group, [self.shares], show, self.rate)

    def climb(self, opacity: float, steps: int, step_done: Callable[[], None]) -> None:
        """Adam steps up the margin of every class, each back into the valid range."""
        for _ in range(steps):
            self._ascend(opacity)
            self.shares.data.clamp_(0, 1)
            step_done()

    def patterns(self) -> torch.Tensor:
        """The patterns (g, *input shape) as they are now."""
        return self.ground.values(self.shares)[:, 0].detach().clone()

    def shown(self, opacity: float, images: torch.Tensor) -> torch.Tensor:
        """Images (B, *input shape) with the patterns in them, (g, B, *input shape)."""
        return (1 - opacity) * images + opacity * self.ground.values(self.shares)
