"""A warp per class: one smooth bending of the image that carries every image to a class.

For every class t at once, over clean samples x of other classes,

    max over w of   mean margin_t(f(x ∘ (id + w))),     |w| ≤ `largest` of half the image's side,

where the displacement w is given at a coarse grid of places and smooth between them. Bending
changes no colours, so neither a pattern nor a patch imitates it well; and a clean net is made to
bear small bends, so its classes lie close together here. Margins are told as those of blended
patterns are.
Source: the family of triggers is WaNet's (ICLR 2021); its search is ours (docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch.nn import functional

from stages import pixels, progress, targets
from stages.ascent import ascend
from stages.canvas import Canvas, canvases
from stages.measure import Measure, mean_measure, sureness_measure
from stages.screen import ScreenConfig, screen
from stages.stage import stage
from stages.types import CleanSamples, PreconditionResult, TorchTwin, WarpResult


@dataclass(frozen=True, kw_only=True)
class WarpConfig:
    """Settings of the warp."""

    samples: int = 16
    """Clean samples, balanced over the classes, that every warp bends."""
    judged_samples: int = 40
    """Clean samples, those of the search among them, that the warps found are judged on."""
    grid: int = 4
    """Places along each side at which the displacement is free. Source: WaNet, k = 4."""
    largest: float = 0.15
    """Largest displacement along each axis, as a share of half the image's side."""
    steps: int = 14
    """Adam steps."""
    rate: float = 0.22
    """Adam's learning rate for the displacements before they are bounded by tanh."""
    brief_samples: int = 4
    """Clean samples of the brief search, where there are many classes."""
    brief_steps: int = 3
    """Adam steps of the brief search."""
    memory_mb: int = 512
    """Activations that may be held at once, in MiB; more classes are done in groups."""

    @property
    def brief(self) -> WarpConfig:
        """The settings of the brief search."""
        return replace(self, samples=self.brief_samples, steps=self.brief_steps)


@stage(version=3)
def find_warp(
    twin: TorchTwin,
    samples: CleanSamples,
    clean: PreconditionResult,
    config: WarpConfig,
    screening: ScreenConfig,
    seed: int,
) -> WarpResult:
    """How far the best warp of every class carries samples of other classes.

    What is no image cannot be bent: its margins are all 0, so no class stands out.
    Deterministic for a given seed, which draws the samples and the start. The twin is left as it
    was found.
    """
    height, width = pixels.plane(samples.images.shape[1:])
    if min(height, width) < config.grid:
        nothing = np.zeros(twin.classes, np.float32)
        return WarpResult(margins=nothing, leading=0, flow=np.zeros((height, width, 2), np.float32))

    counts = (config.brief_samples, config.samples, config.judged_samples)
    few, some, judging = canvases(twin, samples, clean, counts, seed)

    def brief(classes: torch.Tensor) -> torch.Tensor:
        return _climbed(few, mean_measure(few), classes, config.brief, seed).margins

    screened = screen(twin, brief, screening, seed)
    measure = sureness_measure(judging, clean)
    found = _climbed(some, measure, screened.chosen, config, seed)
    leading = int(found.margins.argmax())
    return WarpResult(
        margins=screened.of_all(found.margins).cpu().numpy(),
        leading=int(screened.chosen[leading]),
        flow=found.flows[leading].cpu().numpy(),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """What is told (n,) of the warps, and their displacements (n, H, W, 2)."""

    margins: torch.Tensor
    flows: torch.Tensor


def _climbed(
    ground: Canvas, measure: Measure, classes: torch.Tensor, config: WarpConfig, seed: int
) -> _Found:
    """The best warps of the classes (n,)."""
    groups = targets.groups(ground.twin, ground.images, classes, config.memory_mb)
    step_done = progress.counter(len(groups) * config.steps)
    margins, flows = [], []
    for group in groups:
        search = _Search(ground, group, config, seed)
        for _ in range(config.steps):
            search.step()
            step_done()
        margins.append(measure(group, search.shown))
        flows.append(search.flow().detach())
    return _Found(margins=torch.cat(margins), flows=torch.cat(flows))


class _Search:
    """The warps of one group of classes: displacements (g, 2, grid, grid) before their bound."""

    def __init__(self, ground: Canvas, group: torch.Tensor, config: WarpConfig, seed: int) -> None:
        self.ground, self.group, self.largest = ground, group, config.largest
        self.plane = pixels.plane(tuple(ground.images.shape[1:]))
        generator = torch.Generator().manual_seed(seed)
        start = 0.1 * torch.randn(2, config.grid, config.grid, generator=generator)
        device = ground.images.device
        self.raw = start.to(device).expand(len(group), *start.shape).clone().requires_grad_()
        show = partial(self.shown, ground.images)
        self.step = ascend(ground, group, [self.raw], show, config.rate)

    def flow(self) -> torch.Tensor:
        """Displacements (g, H, W, 2), x before y, in halves of the image's sides."""
        bounded = self.largest * torch.tanh(self.raw)
        smooth = functional.interpolate(
            bounded, size=self.plane, mode="bicubic", align_corners=True
        )
        return smooth.permute(0, 2, 3, 1)

    def shown(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, *input shape), bent: (g, B, *input shape)."""
        return bend(images, self.flow())


def bend(images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Images (B, *input shape) bent by each flow (g, H, W, 2): (g, B, *input shape)."""
    shape = tuple(images.shape[1:])
    height, width = pixels.plane(shape)
    last = pixels.colour_axis(shape) == 2
    ahead = images.movedim(-1, 1) if last else images
    stacked = ahead.reshape(1, -1, height, width).expand(len(flow), -1, -1, -1)
    axes = [torch.linspace(-1, 1, size, device=images.device) for size in (width, height)]
    still = torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1)
    bent = functional.grid_sample(stacked, still + flow, padding_mode="border", align_corners=True)
    shaped = bent.reshape(len(flow), *ahead.shape)
    return shaped.movedim(2, -1) if last else shaped
