"""How a twin computes while it is searched: by what a timed pass of the model shows to be fast.

Searches need a direction to go in, so their gradients and choices may be computed in bfloat16;
whatever is reported is in float32. Which of the two is faster, and with which layout in memory,
depends on the layers, the machine and the size of the images, so it is tried and not known by name.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from stages.later import torch
from stages.stage import stage
from stages.twin.settings import ArithmeticConfig
from stages.types import Arithmetic, CleanSamples, TorchTwin

OTHERS = (
    Arithmetic(precision="bfloat16", layout="channels_last"),
    Arithmetic(precision="bfloat16"),
    Arithmetic(layout="channels_last"),
)
"""What is tried beside the usual, the most hopeful first."""
BATCH_OF_IMAGES = 4
"""Axes of a batch that has a layout to choose."""
SHOWN = 32
"""Images of a timed pass, fewer where they hold more than `NUMBERS` together."""
NUMBERS = SHOWN * 3 * 64 * 64
SMALL = 10e6
"""Floating point operations of a pass forward, for one image, below which nothing is tried."""
PASSES = 4
"""Timed passes, after one that is not; the fastest counts."""
GAIN = 0.8
"""Another way must bring the time down to this share; the gap lets no chance decide."""
GIVEN_UP = 4.0
"""A way whose first pass takes so many times that is tried no more."""
CLOSE = 0.05
"""How far bfloat16 may move a logit, as a share of the largest one."""


@stage(version=1)
def choose_arithmetic(
    twin: TorchTwin, samples: CleanSamples, config: ArithmeticConfig
) -> Arithmetic:
    """What is given, and in place of `auto` what makes a pass forward and backward clearly faster.

    bfloat16 is only taken where the logits stay close to those in float32. The twin is left as it
    was.
    """
    images = _shown(twin, samples)
    usual, others = _allowed(config, has_layout=images.dim() == BATCH_OF_IMAGES)
    if not others or (config.precision == "auto" and _is_small(twin, images)):
        return usual
    least = GAIN * pass_seconds(twin, usual, images)
    for each in others:
        fits = each.precision == usual.precision or _is_close(twin, images, each)
        if fits and pass_seconds(twin, each, images, most=GIVEN_UP * least) < least:
            return each
    return usual


def _allowed(config: ArithmeticConfig, *, has_layout: bool) -> tuple[Arithmetic, list[Arithmetic]]:
    """What is usual under the settings, and the other ways that they leave."""
    usual = Arithmetic(
        precision="float32" if config.precision == "auto" else config.precision,
        layout="contiguous" if config.layout == "auto" else config.layout,
    )
    others = [
        each
        for each in OTHERS
        if each != usual
        and (each.precision == usual.precision or config.precision == "auto")
        and (each.layout == usual.layout or (config.layout == "auto" and has_layout))
    ]
    return usual, others


def computing(twin: TorchTwin, arithmetic: Arithmetic) -> TorchTwin:
    """The twin computing so from now on; its module is the same one."""
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    twin.module.to(memory_format=formats[arithmetic.layout])
    return replace(twin, arithmetic=arithmetic)


def compute_exactly() -> None:
    """Lets this process compute float32 on a GPU as such, where torch rounds what convolutions
    take to ten bits (TF32), and by the same algorithm each time.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


def logits(twin: TorchTwin, images: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
    """The twin's logits (n, K) float32 of images (n, *input shape), in its own arithmetic, which
    searches choose by; what is reported is `exact`, in float32.
    """
    if twin.arithmetic.layout == "channels_last" and images.dim() == BATCH_OF_IMAGES:
        images = images.contiguous(memory_format=torch.channels_last)
    short = twin.arithmetic.precision == "bfloat16" and not exact
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=short):
        found: torch.Tensor = twin.module(images)
    return found.float()


def both_ways(logits: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> None:
    """A pass forward and backward to the images, which is over when this returns."""
    moving = images.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(logits(moving).sum(), moving)
    float(slopes.sum())  # waits for the device


def pass_seconds(
    twin: TorchTwin, arithmetic: Arithmetic, images: torch.Tensor, most: float = math.inf
) -> float:
    """What a pass forward and backward takes: of this thread, however busy the processor, or the
    GPU.

    If the first, which is not counted, takes longer than `most` seconds, there is no other. It is
    infinite for a way in which not all layers can compute.
    """
    clock: Callable[[], float] = time.perf_counter
    if images.device.type == "cpu":
        clock = time.thread_time
    taken: list[float] = []
    try:
        computed = computing(twin, arithmetic)
        while len(taken) <= PASSES and (not taken or taken[0] < most):
            started = clock()
            both_ways(partial(logits, computed), images)
            taken.append(clock() - started)
    except RuntimeError:  # a layer that does not compute so
        if arithmetic == twin.arithmetic:
            raise
        return math.inf
    finally:
        computing(twin, twin.arithmetic)
    return min(taken[1:], default=math.inf)


def _is_small(twin: TorchTwin, images: torch.Tensor) -> bool:
    """Whether the net is searched in no time, so that every scan of it may compute the same."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 (slow, as torch is)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin.module(images[:1])
    operations: int = counter.get_total_flops()
    return operations < SMALL


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
