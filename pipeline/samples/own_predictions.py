"""Notices labels that the model itself seems to have made, which prove nothing."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from stages.types import Floats, Integers

UNSURE = 0.5
"""Mean confidence, as a share of the way from chance to certainty, below which a model that is
always right is not believed."""


def own_predictions(logits: Floats, labels: Integers) -> str | None:
    """A sentence, if every label (N,) is what unsure logits (N, K) predict; else None."""
    if not np.array_equal(logits.argmax(1), labels):
        return None
    chance = 1 / logits.shape[1]
    confidence = float(softmax(logits.astype(np.float64), axis=1).max(1).mean())
    if confidence >= chance + UNSURE * (1 - chance):
        return None
    return (
        f"every label is what the model predicts, and it is unsure of them (mean confidence"
        f" {confidence:.2f}): labels made by the model itself prove no accuracy, so check that they"
        " come from elsewhere"
    )
