"""The settings of the published algorithms; here, so that they are read without torch."""

from __future__ import annotations

from typing import Annotated

from stages.settings import Epsilon, Rate, Samples, Steps, Switch, bounded, settings

Penalty = Annotated[float, bounded(ge=0, le=1000)]
Passes = Annotated[int, bounded("passes", ge=1, le=10_000)]
Batches = Annotated[int, bounded("batches", ge=1, le=10_000)]


@settings
class UntargetedNoiseConfig:
    """Settings of the untargeted noise."""

    epsilon: Epsilon | None = None
    """Bound ε; none given: the one at which the targeted noise is judged. BAN uses 0.3."""
    steps: Steps = 30
    """Steps. Source: BAN, README settings."""
    samples: Samples = 32
    """Clean samples, balanced over the classes, that the noise is searched on."""


@settings
class FeatureMaskConfig:
    """Settings of the feature mask."""

    enabled: Switch = False
    """Whether the scan also runs untargeted noise and the feature mask, which do not decide."""
    penalty: Penalty = 0.75
    """λ, weight of the mask's size. Source: BAN, README settings."""
    epochs: Passes = 20
    """Passes, each of `batches` steps. Source: BAN's code."""
    batches: Batches = 20
    """Adam steps per epoch. Source: BAN, README settings (`--print-every`)."""
    batch: Samples = 64
    """Samples per step, drawn anew. BAN uses 128."""
    rate: Rate = 0.01
    """Adam's learning rate. Source: BAN's code."""


@settings
class BanConfig:
    """The published settings. Source: BAN, README (detection)."""

    enabled: Switch = False
    """Whether the scan also runs the published algorithm, which multiplies its time."""
    penalty: Penalty = 0.75
    """λ, weight of the mask's penalty."""
    epochs: Passes = 20
    """Passes over the mask and over the noise."""
    batches: Batches = 20
    """Batches per pass, drawn with replacement (`--print-every`)."""
    noise_batches: Batches = 20
    """Batches that each restart the noise."""
    batch: Samples = 128
    """Samples per batch."""
    rate: Rate = 0.01
    """Adam's learning rate for the mask."""
    epsilon: Epsilon = 0.3
    """ε of the noise."""
    steps: Steps = 30
    """Noise steps per batch, each of length ε / steps."""
