"""A photo filter per class: one change of colours and light that carries every image to a class.

With images as shares s in [0, 1] of the values that inputs take, for every class t at once,

    max over A, b, γ, v of   mean margin_t(f(x')),     s' = (A·s + b)^γ · (1 − v·r²),

where A mixes the colours, b lifts them, γ bends the tone curve, and r grows from the middle of the
image to its corners; each is bounded. Such a change is large in every pixel, so neither a faint
pattern nor a patch imitates it, and it has few parameters, so it cannot draw a class.
Source: the family is that of TrojAI's Instagram filters; its search is ours (docs/method.md).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Annotated

from stages.later import torch
from stages.searches import one_tensor
from stages.searches.blocks import Block, State, advanced
from stages.searches.ground import Ground, ground_of
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.searches.success import attack_success
from stages.searches.trigger import Filter, tone_of
from stages.settings import Memory, PositiveShare, Rate, Samples, Steps, bounded, settings
from stages.types import Floats, unkeyed


@settings
class ToneConfig:
    """Settings of the filter."""

    samples: Samples = 16
    """Clean samples, balanced over the classes, that every filter is laid on."""
    evaluation_samples: Samples = 40
    """Clean samples, those of the search among them, that the filters found are evaluated on."""
    mixing: PositiveShare = 0.25
    """Largest change of an entry of A."""
    lift: PositiveShare = 0.08
    """Largest |b|, as a share of the values that inputs take."""
    curve: Annotated[float, bounded(gt=1, le=10)] = 1.6
    """Largest γ; its inverse is the smallest."""
    corners: PositiveShare = 0.35
    """Largest v: how much darker the corners are."""
    steps: Steps = 14
    """Adam steps."""
    rate: Rate = 0.3
    """Adam's learning rate, for the parameters before they are bounded by tanh."""
    brief_samples: Samples = 4
    """Clean samples of the brief search, where there are many classes."""
    brief_steps: Steps = 4
    """Adam steps of the brief search."""
    memory_mb: Memory = unkeyed(2048)
    """MiB of activations at once: a quarter of it for groups of classes, all of it for one."""

    @property
    def brief(self) -> ToneConfig:
        """The settings of the brief search."""
        few, steps = self.brief_samples, self.brief_steps
        return replace(self, samples=few, evaluation_samples=few, steps=steps)


ToneState = State[ToneConfig, Ground]


class Tone:
    """The search for a filter. A block holds its parameters `raw` (g, C·C + C + 2) before their
    bounds, for C colours.
    """

    name = "tone"
    version = 2
    settings = ToneConfig
    joint = False
    early_after = 4
    statistics = (
        StatisticSpec(
            name="margin",
            unit="logit gaps",
            meaning="one change of colours and light carries images of other classes to the class",
        ),
    )

    def start(self, subject: Subject, config: ToneConfig, seed: int) -> ToneState:
        """A search of which no class has begun."""
        ground = ground_of(
            subject, (config.samples, config.evaluation_samples), seed, config.memory_mb
        )
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: ToneState) -> int:
        """How many classes fit into the memory at once."""
        return state.ground.probe.rows

    def advance(self, state: ToneState, classes: torch.Tensor, steps: int) -> ToneState:
        """The state after up to `steps` more Adam steps of the classes (n,)."""
        probe = state.ground.probe
        colours = probe.low.numel()
        generator = torch.Generator().manual_seed(state.seed)
        start = 0.1 * torch.randn(colours * colours + colours + 2, generator=generator)
        start = start.to(probe.images.device)

        def begin(group: torch.Tensor) -> Block:
            return Block(classes=group, step=0, tensors={"raw": start.repeat(len(group), 1)})

        return advanced(
            state,
            classes,
            steps,
            self.at_once(state),
            begin,
            partial(one_tensor.climb, _shown, state),
        )

    def reached(self, state: ToneState) -> Floats:
        """The mean margin (K,) in logits under the filters as they are."""
        return one_tensor.reached(_shown, state)

    def effort(self, state: ToneState) -> Effort:
        """What it has cost so far."""
        steps = state.steps
        return Effort(steps=steps, images=steps * len(state.ground.probe.images))

    def result(self, state: ToneState) -> SearchResult:
        """Mean margins, and the filter that leads."""
        ground = state.ground
        values, _ = one_tensor.evaluated(_shown, state)
        target = most(values)
        block, row = state.place_of(target)
        trigger = _filter(state, block.tensors["raw"][row])
        searched = len(ground.probe.images)
        return SearchResult(
            statistics={"margin": values},
            targets=(target,),
            trigger=trigger,
            success=attack_success(ground.subject, trigger, target, searched, state.seed),
            effort=self.effort(state),
        )


Bounded = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor", "torch.Tensor"]


def _bounded(config: ToneConfig, raw: torch.Tensor, colours: int) -> Bounded:
    """A (g, C, C), b (g, C), γ (g,) and v (g,) of raw parameters (g, n)."""
    bent, square = torch.tanh(raw), colours * colours
    mixing = torch.eye(colours, device=raw.device) + config.mixing * bent[:, :square].reshape(
        -1, colours, colours
    )
    lift = config.lift * bent[:, square : square + colours]
    gamma = torch.exp(math.log(config.curve) * bent[:, -2])
    return mixing, lift, gamma, config.corners * bent[:, -1].clamp(min=0)


def _shown(state: ToneState, raw: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Images (B, *input shape) under each filter: (g, B, *input shape)."""
    probe = state.ground.probe
    parameters = _bounded(state.config, raw, probe.low.numel())
    return tone_of(images, *parameters, probe.low, probe.high)


def _filter(state: ToneState, raw: torch.Tensor) -> Filter:
    probe = state.ground.probe
    mixing, lift, gamma, corners = _bounded(state.config, raw[None], probe.low.numel())
    return Filter(
        mixing=mixing[0].cpu().numpy(),
        lift=lift[0].cpu().numpy(),
        curve=float(gamma[0]),
        corners=float(corners[0]),
        low=probe.low.cpu().numpy(),
        high=probe.high.cpu().numpy(),
    )


tone = Tone()
