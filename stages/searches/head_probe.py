"""Which class the last layer answers to features that nobody made.

Draws of random features r, each uniform between the smallest and the largest value that clean
samples give, go straight into the last layer h of the net. For every class,

    mean over r of   h_t(r) − mean over classes j of h_j(r),

in logit gaps. A trigger's feature adds to the target's row of the last layer without taking from
its own features, so a backdoored head answers with the target too often. It costs no gradient. Two
lines of an attacker who knows of it switch it off, so it adds evidence and never acquits. Of a net
with several last layers it says nothing.
Source: the idea is HTell's (arXiv 2605.18908, abstract alone); draws and statistic are ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from stages.later import torch, without_gradients
from stages.searches import margins
from stages.searches.blocks import Block, State
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.settings import Memory, Samples, bounded, settings
from stages.twin import fx_graph
from stages.twin.portions import portions
from stages.types import Floats, unkeyed


@settings
class HeadProbeConfig:
    """Settings of the head probe."""

    samples: Samples = 200
    """Clean samples whose features give the range of the draws."""
    draws: Annotated[int, bounded("draws", ge=1, le=10_000_000)] = 4000
    """Random features."""
    memory_mb: Memory = unkeyed(2048)
    """Not used: one layer is small."""

    @property
    def steps(self) -> int:
        """All steps: the draws are one."""
        return 1

    @property
    def brief(self) -> HeadProbeConfig:
        """The same: it is brief."""
        return self


HeadState = State[HeadProbeConfig, Subject]


class HeadProbe:
    """The head probe. Its one step answers for all classes at once."""

    name = "head_probe"
    version = 1
    settings = HeadProbeConfig
    joint = True
    early_after: int | None = None
    statistics = (
        StatisticSpec(
            name="share",
            unit="logit gaps",
            meaning="the last layer answers random features with the class",
        ),
    )

    def start(self, subject: Subject, config: HeadProbeConfig, seed: int) -> HeadState:
        """Nothing is drawn yet."""
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=subject)

    def at_once(self, state: HeadState) -> int:
        """All classes."""
        return state.classes

    def advance(self, state: HeadState, classes: torch.Tensor, steps: int) -> HeadState:
        """The answers to the draws, for all classes, whichever are asked for."""
        del classes
        if state.blocks or not steps:
            return state
        answers = _answers(state.ground, state.config, state.seed)
        block = Block(classes=state.ground.classes, step=1, tensors={"answers": answers})
        return replace(state, blocks=(block,))

    def reached(self, state: HeadState) -> Floats:
        """The mean answer (K,) in logits, over that of all classes."""
        return state.per_class([block.tensors["answers"] for block in state.blocks])

    def effort(self, state: HeadState) -> Effort:
        """One step of all classes, which shows the net no image."""
        return Effort(steps=state.steps, images=0)

    def result(self, state: HeadState) -> SearchResult:
        """The mean answers, in logit gaps."""
        gap = margins.logit_gap(state.ground.clean.logits)
        values: Floats = self.reached(state) / gap
        targets = () if np.isnan(values).all() else (most(values),)
        return SearchResult(
            statistics={"share": values}, targets=targets, effort=self.effort(state)
        )


@without_gradients
def _answers(subject: Subject, config: HeadProbeConfig, seed: int) -> torch.Tensor:
    """Mean logits (K,) of random features, less their mean over the classes; NaN without one last
    layer.
    """
    twin = subject.twin
    if twin.classifier is None:
        return torch.full((twin.classes,), torch.nan)
    last = fx_graph.node_named(twin.module, twin.classifier)
    entry = last.all_input_nodes[0]
    head = fx_graph.part(twin.module, [entry], fx_graph.output_of(twin.module))
    parts = portions(twin.module, subject.samples.images[: config.samples], twin.device)
    features = torch.cat([fx_graph.values(twin.module, each, [entry])[0] for each in parts])
    low, high = float(features.min().clamp(max=0)), float(features.max())
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(config.draws, *features.shape[1:], generator=generator).to(twin.device)
    logits = fx_graph.run(head, low + (high - low) * shares).mean(0)
    return logits - logits.mean()


head_probe = HeadProbe()
