"""What searches share whose block holds one tensor, `raw`, of parameters before their bounds.

`shown` says how images (B, *input shape) look under raw parameters (g, …): (g, B, *input shape).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from stages.later import torch
from stages.searches import margins
from stages.searches.ascent import Ascent
from stages.searches.blocks import Block, State
from stages.searches.ground import Ground
from stages.types import Floats


class RawConfig(Protocol):
    """The settings that such a search has at least."""

    @property
    def steps(self) -> int:
        """Adam steps of one class."""

    @property
    def rate(self) -> float:
        """Adam's learning rate."""


Config = TypeVar("Config", bound=RawConfig)
Shown = Callable[[State[Config, Ground], "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def climb(
    shown: Shown[Config],
    state: State[Config, Ground],
    block: Block,
    steps: int,
    step_done: Callable[[], None],
) -> Block:
    """The block after up to `steps` Adam steps up the margin of every class."""
    config, probe = state.config, state.ground.probe
    until = min(block.step + steps, config.steps)
    ascent = Ascent(block.tensors, ["raw"], block.step, config.rate)
    for _ in range(block.step, until):
        seen = shown(state, ascent.parameters[0], probe.images)
        ascent.step(margins.mean_margins(probe, block.classes, seen))
        step_done()
    return replace(block.with_tensors(**ascent.tensors()), step=until)


def reached(shown: Shown[Config], state: State[Config, Ground]) -> Floats:
    """The mean margin (K,) in logits under the parameters as they are."""
    probe = state.ground.probe
    return state.per_class(
        [
            margins.reached(probe, each.classes, partial(shown, state, each.tensors["raw"]))
            for each in state.blocks
        ]
    )


def evaluated(shown: Shown[Config], state: State[Config, Ground]) -> tuple[Floats, Floats]:
    """Mean margins (K,) in logit gaps on the evaluation set, and standardised ones."""
    ground = state.ground
    values = [
        margins.evaluated(
            *(ground.evaluation, ground.gap, each.classes),
            partial(shown, state, each.tensors["raw"]),
        )
        for each in state.blocks
    ]
    mean, standardised = (state.per_class([each[kind] for each in values]) for kind in (0, 1))
    return mean, standardised
