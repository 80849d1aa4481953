"""A warp per class: one smooth bending of the image that carries every image to a class.

For every class t at once, over clean samples x of other classes,

    max over w of   mean margin_t(f(x ∘ (id + w))),     |w| ≤ `largest` of half the image's side,

where the displacement w is given at a coarse grid of places and smooth between them. Bending
changes no colours, so neither a pattern nor a patch imitates it well; and a clean net is trained to
bear small bends, so its classes lie close together here.
Source: the family of triggers is WaNet's (ICLR 2021); its search is ours (docs/method.md).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np

from stages.later import functional, torch
from stages.searches import one_tensor
from stages.searches.blocks import Block, State, advanced
from stages.searches.ground import Ground, ground_of
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.searches.success import attack_success
from stages.searches.trigger import Displacement
from stages.searches.trigger import warp as warped
from stages.settings import Memory, PositiveShare, Rate, Samples, Steps, bounded, settings
from stages.types import Floats, unkeyed


@settings
class WarpConfig:
    """Settings of the warp."""

    samples: Samples = 16
    """Clean samples, balanced over the classes, that every warp bends."""
    evaluation_samples: Samples = 40
    """Clean samples, those of the search among them, that the warps found are evaluated on."""
    grid: Annotated[int, bounded("places", ge=2, le=64)] = 4
    """Places along each side at which the displacement is free. Source: WaNet, k = 4."""
    largest: PositiveShare = 0.15
    """Largest displacement along each axis, as a share of half the image's side."""
    steps: Steps = 14
    """Adam steps."""
    rate: Rate = 0.22
    """Adam's learning rate for the displacements before they are bounded by tanh."""
    brief_samples: Samples = 4
    """Clean samples of the brief search, where there are many classes."""
    brief_steps: Steps = 3
    """Adam steps of the brief search."""
    memory_mb: Memory = unkeyed(2048)
    """MiB of activations at once: a quarter of it for groups of classes, all of it for one."""

    @property
    def brief(self) -> WarpConfig:
        """The settings of the brief search."""
        few, steps = self.brief_samples, self.brief_steps
        return replace(self, samples=few, evaluation_samples=few, steps=steps)


WarpState = State[WarpConfig, Ground]


class Warp:
    """The search for a warp. A block holds the displacements `raw` (g, 2, grid, grid) before their
    bound.

    Images too small for the grid, and what is no image, cannot be warped: no class begins, and no
    class stands out.
    """

    name = "warp"
    version = 5
    settings = WarpConfig
    joint = False
    early_after = 5
    statistics = (
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="one smooth bend carries images of other classes to the class, all alike",
        ),
    )

    def start(self, subject: Subject, config: WarpConfig, seed: int) -> WarpState:
        """A search of which no class has begun."""
        ground = ground_of(
            subject, (config.samples, config.evaluation_samples), seed, config.memory_mb
        )
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: WarpState) -> int:
        """How many classes fit into the memory at once."""
        return state.ground.probe.rows

    def advance(self, state: WarpState, classes: torch.Tensor, steps: int) -> WarpState:
        """The state after up to `steps` more Adam steps of the classes (n,)."""
        config, probe = state.config, state.ground.probe
        if min(state.ground.plane) < config.grid:
            return state
        generator = torch.Generator().manual_seed(state.seed)
        start = 0.1 * torch.randn(2, config.grid, config.grid, generator=generator)
        start = start.to(probe.images.device)

        def begin(group: torch.Tensor) -> Block:
            raw = start.expand(len(group), *start.shape).clone()
            return Block(classes=group, step=0, tensors={"raw": raw})

        return advanced(
            state,
            classes,
            steps,
            self.at_once(state),
            begin,
            partial(one_tensor.climb, _shown, state),
        )

    def reached(self, state: WarpState) -> Floats:
        """The mean margin (K,) in logits under the warps as they are."""
        return one_tensor.reached(_shown, state)

    def effort(self, state: WarpState) -> Effort:
        """What it has cost so far."""
        steps = state.steps
        return Effort(steps=steps, images=steps * len(state.ground.probe.images))

    def result(self, state: WarpState) -> SearchResult:
        """Standardised margins, and the warp that leads."""
        ground = state.ground
        if not state.blocks:
            nothing = np.zeros(state.classes, np.float32)
            statistics = {"standardised_margin": nothing}
            return SearchResult(statistics=statistics, targets=(), effort=self.effort(state))
        _, values = one_tensor.evaluated(_shown, state)
        target = most(values)
        block, row = state.place_of(target)
        flow = _flow(state, block.tensors["raw"])[row]
        trigger = Displacement(flow=flow.cpu().numpy())
        searched = len(ground.probe.images)
        return SearchResult(
            statistics={"standardised_margin": values},
            targets=(target,),
            trigger=trigger,
            success=attack_success(ground.subject, trigger, target, searched, state.seed),
            effort=self.effort(state),
        )


def _flow(state: WarpState, raw: torch.Tensor) -> torch.Tensor:
    """Displacements (g, H, W, 2), x before y, in halves of the image's sides."""
    bounded = state.config.largest * torch.tanh(raw)
    smooth = functional.interpolate(
        bounded, size=state.ground.plane, mode="bicubic", align_corners=True
    )
    return smooth.permute(0, 2, 3, 1)


def _shown(state: WarpState, raw: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Images (B, *input shape), warped: (g, B, *input shape)."""
    return warped(images, _flow(state, raw))


warp = Warp()
