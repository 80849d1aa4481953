"""Sine waves laid over the image: which class they carry every image to.

For every class t at once, over clean samples x of other classes,

    max over c, θ, φ of   standardised margin_t(x + a·sin(2πc(u·cos θ + v·sin θ) + φ)),

where u and v run from 0 to 1 along the image, and c, θ and φ take a few values each. There are so
few waves that they cannot draw a class, and a net that learnt one of them answers to its like.
Source: the family of triggers is that of SIG (Barni et al., ICIP 2019); its search is ours
(docs/method.md).
"""

from __future__ import annotations

import math
from typing import Annotated

from stages import image_layout
from stages.later import torch
from stages.searches.fixed_changes import Changes, FixedChanges, FixedConfig, FixedState
from stages.searches.search import StatisticSpec
from stages.searches.trigger import Pattern
from stages.settings import PositiveShare, Samples, bounded, settings


@settings
class WaveConfig(FixedConfig):
    """Settings of the waves."""

    samples: Samples = 16
    """Clean samples, balanced over the classes, that every wave is laid on."""
    amplitude: PositiveShare = 0.2
    """a, as a share of the values that inputs take."""
    cycles: Annotated[int, bounded("cycles", ge=1, le=64)] = 10
    """Waves have 1 to so many cycles along a side."""
    directions: Annotated[int, bounded("directions", ge=1, le=16)] = 4
    """Directions θ, evenly spread over half a turn."""
    phases: Annotated[int, bounded("phases", ge=1, le=16)] = 4
    """Phases φ, evenly spread over a turn."""


class Wave(FixedChanges):
    """The search through waves. Its one step answers for all classes at once."""

    name = "wave"
    settings = WaveConfig
    statistics = (
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="one sine wave carries images of other classes to the class, all alike",
        ),
    )
    smallest = 4  # for a wave to be seen

    def changes(self, state: FixedState) -> Changes:
        """Every wave, clipped to the values that inputs take."""
        config: WaveConfig = state.config
        probe = state.ground.probe

        def patterns(numbers: torch.Tensor) -> torch.Tensor:
            flat = config.amplitude * _plane_waves(config, numbers, state.ground.plane)
            return flat.reshape(len(numbers), *_mask_shape(state)) * (probe.high - probe.low)

        def shown(numbers: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
            return (images + patterns(numbers)[:, None]).clamp(probe.low, probe.high)

        def trigger(number: int) -> Pattern:
            (pattern,) = patterns(torch.tensor([number], device=probe.images.device))
            arrays = (each.cpu().numpy() for each in (pattern, probe.low, probe.high))
            return Pattern(**dict(zip(("pattern", "low", "high"), arrays, strict=True)))

        count = config.cycles * config.directions * config.phases
        return Changes(count=count, shown=shown, trigger=trigger)


def _mask_shape(state: FixedState) -> tuple[int, ...]:
    return image_layout.mask_shape(tuple(state.ground.probe.images.shape[1:]))


def _plane_waves(config: WaveConfig, numbers: torch.Tensor, plane: tuple[int, int]) -> torch.Tensor:
    """Waves (g, H, W) of amplitude 1 by their numbers (g,): cycles first, then θ, then φ."""
    phase, rest = numbers % config.phases, numbers // config.phases
    angle = math.pi * (rest % config.directions) / config.directions
    cycles = rest // config.directions + 1
    down, across = (torch.arange(size, device=numbers.device) / size for size in plane)
    u, v = across[None, None, :], down[None, :, None]
    wide = (-1, 1, 1)
    along = u * torch.cos(angle).reshape(wide) + v * torch.sin(angle).reshape(wide)
    turn = 2 * math.pi * phase / config.phases
    return torch.sin(2 * math.pi * cycles.reshape(wide) * along + turn.reshape(wide))


wave = Wave()
