"""What the published algorithms leave behind: values, arrays read-only on the CPU.

Letters in shapes: K classes, C channels of a site, F the shape of a sample's features.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.types import Floats, Integers, freeze


@dataclass(frozen=True, kw_only=True, eq=False)
class UntargetedNoise:
    """Noise that raises the loss on clean samples (the paper's).

    `scale` and `shift` hold δ and ξ per site, each (C,), in [−epsilon, epsilon]; `loss` (steps,) is
    the cross entropy along the way; `predictions` (K,) counts classes under the final noise.
    """

    epsilon: float
    scale: tuple[Floats, ...]
    shift: tuple[Floats, ...]
    loss: Floats
    predictions: Integers
    accuracy: float

    def __post_init__(self) -> None:
        freeze(*self.scale, *self.shift, self.loss, self.predictions)


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskResult:
    """The feature mask m (F) in [0, 1]: m·f keeps the benign features, (1 − m)·f the rest.

    `benign_loss` and `other_loss` (epochs,) are the two cross entropies; `predictions` (K,) counts
    classes when only the non-benign features are left and the untargeted noise is on.
    """

    mask: Floats
    benign_loss: Floats
    other_loss: Floats
    benign_accuracy: float
    predictions: Integers

    def __post_init__(self) -> None:
        freeze(self.mask, self.benign_loss, self.other_loss, self.predictions)


@dataclass(frozen=True, kw_only=True, eq=False)
class BanResult:
    """What the published algorithm reports: `predictions` (K,) counts classes under its noise with
    its negative mask; `share` in [0, 1] is that of the most frequent class. It has no threshold.
    """

    predictions: Integers
    share: float
    accuracy: float

    def __post_init__(self) -> None:
        freeze(self.predictions)
