"""How a twin computes while it is searched: by what a timed pass of the model shows to be fast.

Searches need a direction to go in, so their gradients may be computed in bfloat16; whatever is
evaluated is in float32. Which of the two is faster, and with which layout in memory, depends on the
layers, the machine and the size of the images, so it is tried and not known by name.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from stages.later import torch
from stages.stage import stage
from stages.twin.settings import ArithmeticConfig
from stages.types import Arithmetic, CleanSamples, TorchTwin

PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
LAYOUTS: tuple[Literal["contiguous", "channels_last"], ...] = ("contiguous", "channels_last")
BATCH_OF_IMAGES = 4
"""Axes of a batch that has a layout to choose."""
SHOWN = 32
"""Images of a timed pass, fewer where they hold more than `NUMBERS` together."""
NUMBERS = SHOWN * 3 * 64 * 64
PASSES = 2
"""Timed passes, after one that is not; the faster one counts."""
GAIN = 0.9
"""A change must bring the time down to this share, so that chance seldom decides."""
GIVEN_UP = 3.0
"""A first pass that takes so many times the shortest so far is the last of its kind."""
CLOSE = 0.05
"""How far bfloat16 may move a logit, as a share of the largest one."""


@stage(version=1)
def choose_arithmetic(
    twin: TorchTwin, samples: CleanSamples, config: ArithmeticConfig
) -> Arithmetic:
    """What is given, and in place of `auto` what is fastest for a pass forward and backward.

    bfloat16 is only taken where the logits stay close to those in float32. The twin is left as it
    was.
    """
    images = _shown(twin, samples)
    layouts = LAYOUTS if images.dim() == BATCH_OF_IMAGES else LAYOUTS[:1]
    first, *others = (
        Arithmetic(precision=precision, layout=layout)
        for precision in (PRECISIONS if config.precision == "auto" else (config.precision,))
        for layout in (layouts if config.layout == "auto" else (config.layout,))
    )
    if not others:
        return first
    chosen, least = first, _seconds(twin, first, images)
    for each in others:
        if each.precision == "float32" or _is_close(twin, images, each):
            taken = _seconds(twin, each, images, most=GIVEN_UP * least)
            if taken < GAIN * least:
                chosen, least = each, taken
    return chosen


def computing(twin: TorchTwin, arithmetic: Arithmetic) -> TorchTwin:
    """The twin computing so from now on; its module is the same one."""
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    twin.module.to(memory_format=formats[arithmetic.layout])
    return replace(twin, arithmetic=arithmetic)


def logits(twin: TorchTwin, images: torch.Tensor) -> torch.Tensor:
    """The twin's logits (n, K) float32 of images (n, *input shape), in its own arithmetic.

    Where no gradient is wanted, something is evaluated, and that is in float32.
    """
    if twin.arithmetic.layout == "channels_last" and images.dim() == BATCH_OF_IMAGES:
        images = images.contiguous(memory_format=torch.channels_last)
    short = twin.arithmetic.precision == "bfloat16" and torch.is_grad_enabled()
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=short):
        found: torch.Tensor = twin.module(images)
    return found.float()


def _seconds(
    twin: TorchTwin, arithmetic: Arithmetic, images: torch.Tensor, most: float = math.inf
) -> float:
    """What a pass forward and backward takes: of the processor, however busy it is, or the GPU.

    If the first, which is not counted, takes longer than `most` seconds, there is no other.
    """
    clock: Callable[[], float] = time.perf_counter
    if images.device.type == "cpu":
        clock = time.process_time
    taken: list[float] = []
    try:
        computed = computing(twin, arithmetic)
        while len(taken) <= PASSES and (not taken or taken[0] < most):
            started = clock()
            moving = images.clone().requires_grad_()
            (slopes,) = torch.autograd.grad(logits(computed, moving).sum(), moving)
            float(slopes.sum())  # waits for the device
            taken.append(clock() - started)
    finally:
        computing(twin, twin.arithmetic)
    return min(taken[1:], default=math.inf)


def _is_close(twin: TorchTwin, images: torch.Tensor, short: Arithmetic) -> bool:
    """Whether all layers can compute so, and the logits are nearly the same."""
    moving = images.clone().requires_grad_()
    try:
        found = logits(replace(twin, arithmetic=short), moving).detach()
    except RuntimeError:
        return False
    exact = logits(replace(twin, arithmetic=Arithmetic()), images).detach()
    allowed = CLOSE * exact.abs().max().clamp(min=1)
    return bool(((found - exact).abs() <= allowed).all())


def _shown(twin: TorchTwin, samples: CleanSamples) -> torch.Tensor:
    """A few of the samples (n, *input shape), on the twin's device."""
    count = max(1, min(SHOWN, NUMBERS // samples.images[0].size))
    return torch.tensor(samples.images[:count], device=twin.device)
