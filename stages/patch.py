"""A patch per class: the smallest part of the image that carries every image to a class.

For every class t at once, over clean samples x of other classes,

    min over m, p of   CE(f(x'), t) + λ·|m|,    x' = (1 − m)·x + m·p,    |m| the mean of the mask,

where λ grows while the patch works and shrinks while it does not. What counts is the smallest |m|
at which it worked. A local trigger, nearly invisible to noise on whole channels, is found here.
Source: Neural Cleanse (S&P 2019), equation 3, with 40 steps instead of a thousand, λ moved at
every step, and all classes in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from stages import pixels, progress, targets
from stages.canvas import Canvas, canvas
from stages.stage import stage
from stages.types import CleanSamples, PatchResult, PreconditionResult, TorchTwin


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Settings of the patch."""

    samples: int = 20
    """Clean samples, balanced over the classes, that every patch is laid on."""
    steps: int = 40
    """Adam steps."""
    rate: float = 0.3
    """Adam's learning rate for the logits of mask and pattern."""
    works: float = 0.9
    """Share of the samples of other classes that a patch must carry over to count."""
    weight: float = 8.0
    """λ at the start."""
    change: float = 1.3
    """Factor by which λ grows or shrinks at every step."""
    memory_mb: int = 512
    """Activations that may be held at once, in MiB; more classes are done in groups."""


@stage(version=1)
def find_patch(
    twin: TorchTwin,
    samples: CleanSamples,
    clean: PreconditionResult,
    config: PatchConfig,
    seed: int,
) -> PatchResult:
    """The smallest patch of every class that works.

    Deterministic for a given seed, which draws the samples and the start. The twin is left as it
    was found.
    """
    ground = canvas(twin, samples, clean, config.samples, seed)
    groups = targets.groups(twin, ground.images, config.memory_mb)
    step_done = progress.counter(len(groups) * config.steps)
    areas, best = [], _Patch(np.inf, ground.images[0], ground.images[0])
    for group in groups:
        search = _Search(ground, group, config, seed)
        for _ in range(config.steps):
            search.step()
            step_done()
        areas.append(search.areas)
        best = min(best, search.smallest(), key=lambda patch: patch.area)
    found = torch.cat(areas).cpu().numpy()
    return PatchResult(
        areas=found,
        leading=int(found.argmin()),
        mask=best.mask.cpu().numpy(),
        pattern=best.pattern.cpu().numpy(),
    )


@dataclass(frozen=True)
class _Patch:
    area: float
    mask: torch.Tensor
    pattern: torch.Tensor


class _Search:
    """Masks and patterns of one group of classes, and the smallest that worked so far."""

    def __init__(self, ground: Canvas, group: torch.Tensor, config: PatchConfig, seed: int) -> None:
        shape, device = tuple(ground.images.shape[1:]), ground.images.device
        generator = torch.Generator().manual_seed(seed)
        mask = 0.1 * torch.randn(pixels.mask_shape(shape), generator=generator) - 2
        pattern = 0.1 * torch.randn(shape, generator=generator)
        self.ground, self.group, self.config = ground, group, config
        self.others = ground.labels != group[:, None]
        self.raw = [
            each.to(device).expand(len(group), 1, *each.shape).clone().requires_grad_()
            for each in (mask, pattern)
        ]
        self.optimiser = torch.optim.Adam(self.raw, lr=config.rate, betas=(0.5, 0.9))
        self.weight = torch.full((len(group),), config.weight, device=device)
        self.areas = torch.ones(len(group), device=device)
        self.masks, self.patterns = (each.detach().clone() for each in self._shown())

    def step(self) -> None:
        """One Adam step of every class, and its λ moved."""
        mask, pattern = self._shown()
        logits = self.ground.logits((1 - mask) * self.ground.images + mask * pattern)
        wanted = self.group[:, None].expand(logits.shape[:2])
        entropy = functional.cross_entropy(logits.movedim(-1, 1), wanted, reduction="none")
        area = mask.flatten(1).mean(1)
        loss = targets.mean_over(entropy, self.others) + self.weight * area
        for raw, slope in zip(self.raw, torch.autograd.grad(loss.sum(), self.raw), strict=True):
            raw.grad = slope
        self.optimiser.step()
        carried = (logits.argmax(-1) == self.group[:, None]).float()
        self._note(targets.mean_over(carried, self.others), area, mask, pattern)

    def smallest(self) -> _Patch:
        """The smallest patch of the group."""
        first = int(self.areas.argmin())
        return _Patch(float(self.areas[first]), self.masks[first, 0], self.patterns[first, 0])

    def _shown(self) -> tuple[torch.Tensor, torch.Tensor]:
        mask, pattern = (torch.sigmoid(each) for each in self.raw)
        return mask, self.ground.values(pattern)

    @torch.no_grad()
    def _note(
        self, carried: torch.Tensor, area: torch.Tensor, mask: torch.Tensor, pattern: torch.Tensor
    ) -> None:
        works = carried >= self.config.works
        better = works & (area < self.areas)
        self.areas = torch.where(better, area, self.areas)
        self.masks[better], self.patterns[better] = mask[better], pattern[better]
        change = self.config.change
        self.weight = torch.where(works, self.weight * change, self.weight / change)
