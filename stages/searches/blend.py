"""A blended pattern per class: how far one faint, fixed pattern carries every image to a class.

For every class t at once, over clean samples x of other classes, with a small opacity α,

    max over p of   mean  [ f_t(x') − max over j ≠ t of f_j(x') ],    x' = (1 − α)·x + α·p

with p within the values that inputs take; then again with a stronger α, from where that ended.
The margin of a backdoor's target is larger than that of its neighbours, whatever the trigger looks
like, and much the same on every sample: it was trained to win against everything.
Source: the margin as statistic is that of MM-BD (arXiv 2205.06900), which has no images under its
patterns (α = 1); with images at α = 0.1 natural backdoor classes stand out less (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from stages.later import torch
from stages.searches import margins
from stages.searches.ascent import Ascent, without_moments
from stages.searches.blocks import Block, State, advanced
from stages.searches.ground import Ground, ground_of
from stages.searches.probe import Probe
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.searches.success import attack_success
from stages.searches.trigger import Overlay
from stages.settings import (
    Cells,
    Memory,
    PositiveShare,
    Rate,
    Samples,
    Steps,
    settings,
    unchecked,
)
from stages.types import Floats, unkeyed


@settings
class BlendConfig:
    """Settings of the blended pattern."""

    samples: Samples = 16
    """Clean samples, balanced over the classes, that every pattern is blended into."""
    evaluation_samples: Samples = 40
    """Clean samples, those of the search among them, that the patterns found are evaluated on."""
    faint: PositiveShare = 0.1
    """α in (0, 1] of the faint pattern: how much of it is seen."""
    faint_steps: Steps = 9
    """Adam steps of the faint pattern."""
    strong: PositiveShare = 0.4
    """α of the strong pattern, which starts as the faint one."""
    strong_steps: Steps = 5
    """Adam steps of the strong pattern."""
    detail: Cells = 48
    """Squares of one colour each along the image's shorter side, of which a pattern consists at
    most: so many as the largest images have pixels that the calibration was measured on.
    """
    rate: Rate = 0.2
    """Adam's learning rate, as a share of the values that inputs take."""
    brief_samples: Samples = 4
    """Clean samples of the brief search, where there are many classes."""
    brief_steps: Steps = 3
    """Adam steps of the faint pattern in the brief search."""
    memory_mb: Memory = unkeyed(2048)
    """MiB of activations at once: a quarter of it for groups of classes, all of it for one."""

    @property
    def steps(self) -> int:
        """All steps of one class."""
        return self.faint_steps + self.strong_steps

    @property
    def brief(self) -> BlendConfig:
        """The settings of the brief search."""
        few, steps = self.brief_samples, self.brief_steps
        return unchecked(
            self, samples=few, evaluation_samples=few, faint_steps=steps, strong_steps=0
        )


BlendState = State[BlendConfig, Ground]


class Blend:
    """The search for a blended pattern. A block holds `shares` (g, 1, *input shape) of the valid
    range, and, once the strong pattern has begun, those of the `faint` one.
    """

    name = "blend"
    version = 7
    settings = BlendConfig
    joint = False
    early_after: int | None = None
    statistics = (
        StatisticSpec(
            name="margin",
            unit="logit gaps",
            meaning="one faint pattern carries images of other classes far into the class",
        ),
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="one faint pattern carries them there by much the same on every image",
        ),
        StatisticSpec(
            name="strong_margin",
            unit="logit gaps",
            meaning="a stronger pattern does; above 0 the search has power for this class",
        ),
    )

    def start(self, subject: Subject, config: BlendConfig, seed: int) -> BlendState:
        """A search of which no class has begun."""
        ground = ground_of(
            subject, (config.samples, config.evaluation_samples), seed, config.memory_mb
        )
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: BlendState) -> int:
        """How many classes fit into the memory at once."""
        return state.ground.probe.rows

    def advance(self, state: BlendState, classes: torch.Tensor, steps: int) -> BlendState:
        """The state after up to `steps` more Adam steps of the classes (n,)."""
        probe = state.ground.probe
        start = _start(probe, state.seed)

        def begin(group: torch.Tensor) -> Block:
            shares = start.expand(len(group), 1, *start.shape).clone()
            return Block(classes=group, step=0, tensors={"shares": shares})

        return advanced(state, classes, steps, self.at_once(state), begin, partial(_climb, state))

    def reached(self, state: BlendState) -> Floats:
        """The mean margin (K,) in logits under the patterns as they are."""
        config, probe = state.config, state.ground.probe
        return state.per_class(
            [
                margins.reached(
                    probe, each.classes, partial(_shown, state, each, _opacity(config, each.step))
                )
                for each in state.blocks
            ]
        )

    def effort(self, state: BlendState) -> Effort:
        """What it has cost so far."""
        steps = state.steps
        return Effort(steps=steps, images=steps * len(state.ground.probe.images))

    def result(self, state: BlendState) -> SearchResult:
        """Margins under the faint and the strong patterns, and the faint one that leads."""
        config, ground = state.config, state.ground
        faint, certain, strong = [], [], []
        for block in state.blocks:
            evaluate = partial(margins.evaluated, ground.evaluation, ground.gap, block.classes)
            before = block.with_tensors(shares=block.tensors.get("faint", block.tensors["shares"]))
            values = evaluate(partial(_shown, state, before, config.faint))
            faint.append(values[0])
            certain.append(values[1])
            strong.append(evaluate(partial(_shown, state, block, config.strong))[0])
        statistics = {
            "margin": state.per_class(faint),
            "standardised_margin": state.per_class(certain),
            "strong_margin": state.per_class(strong),
        }
        target = most(statistics["margin"])
        trigger = _overlay(state, target)
        searched = len(ground.probe.images)
        return SearchResult(
            statistics=statistics,
            targets=(target,),
            trigger=trigger,
            success=attack_success(ground.subject, trigger, target, searched, state.seed),
            effort=self.effort(state),
        )


def _climb(state: BlendState, block: Block, steps: int, step_done: Callable[[], None]) -> Block:
    """Adam steps up the margin of every class, each back into the valid range."""
    config, probe = state.config, state.ground.probe
    last = min(block.step + steps, config.steps)
    while block.step < last:
        end = config.faint_steps if block.step < config.faint_steps else config.steps
        if block.step == config.faint_steps:
            faint = block.tensors["shares"]
            block = replace(block, tensors={**without_moments(block.tensors), "faint": faint})
        begun = 0 if end == config.faint_steps else config.faint_steps
        ascent = Ascent(block.tensors, ["shares"], block.step - begun, config.rate)
        opacity, until = _opacity(config, block.step + 1), min(end, last)
        for _ in range(block.step, until):
            shown = _blended(state, ascent.parameters[0], opacity, probe.images)
            ascent.step(margins.mean_margins(probe, block.classes, shown))
            ascent.parameters[0].data.clamp_(0, 1)
            step_done()
        block = replace(block.with_tensors(**ascent.tensors()), step=until)
    return block


def _opacity(config: BlendConfig, step: int) -> float:
    """α of the pattern after so many steps."""
    return config.faint if step <= config.faint_steps else config.strong


def _start(probe: Probe, seed: int) -> torch.Tensor:
    """Nearly grey shares of the valid range, the same for every class."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(probe.images.shape[1:], generator=generator)
    return (0.5 + 0.1 * noise).clamp(0, 1).to(probe.images.device)


def _shown(state: BlendState, block: Block, opacity: float, images: torch.Tensor) -> torch.Tensor:
    return _blended(state, block.tensors["shares"], opacity, images)


def _blended(
    state: BlendState, shares: torch.Tensor, opacity: float, images: torch.Tensor
) -> torch.Tensor:
    """Images (B, *input shape) with the patterns in them, (g, B, *input shape)."""
    return (1 - opacity) * images + opacity * _pattern(state, shares)


def _pattern(state: BlendState, shares: torch.Tensor) -> torch.Tensor:
    return state.ground.probe.pattern(shares, state.config.detail)


def _overlay(state: BlendState, target: int) -> Overlay:
    """The faint pattern of a class."""
    block, row = state.place_of(target)
    shares = block.tensors.get("faint", block.tensors["shares"])[row, 0]
    return Overlay(opacity=state.config.faint, pattern=_pattern(state, shares).cpu().numpy())


blend = Blend()
