"""What the published algorithms say of every class, for reports; it decides nothing."""

from __future__ import annotations

import numpy as np

from stages.published.results import BanResult, MaskResult, UntargetedNoise
from stages.types import Floats, Integers, PreconditionResult, Statistic

GAINED = "share of predictions gained"


def masked_statistics(
    clean: PreconditionResult, untargeted: UntargetedNoise, mask: MaskResult
) -> tuple[Statistic, ...]:
    """What each class gains under the paper's noise, and with only the masked features left."""
    before = _shares(np.bincount(clean.logits.argmax(1), minlength=clean.logits.shape[1]))
    return (
        Statistic.of("untargeted_noise", GAINED, _shares(untargeted.predictions) - before),
        Statistic.of("feature_mask", GAINED, _shares(mask.predictions) - before),
    )


def ban_statistic(result: BanResult) -> Statistic:
    """The published algorithm's histogram; the paper states no threshold for it."""
    return Statistic.of("published_ban", "share of predictions", _shares(result.predictions))


def _shares(counts: Integers) -> Floats:
    shares: Floats = (counts / max(1, counts.sum())).astype(np.float32)
    return shares
