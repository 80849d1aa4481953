"""What published algorithms say of every class, in shares of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from stages.published.results import BanResult, MaskResult, UntargetedNoise
from stages.published.statistics import ban_statistic, masked_statistics
from stages.types import PreconditionResult


def test_the_published_algorithm_is_told_as_shares() -> None:
    """Of its histogram, the most frequent class leads."""
    result = BanResult(predictions=np.array([10, 0, 30, 0]), share=0.75, accuracy=0.2)

    found = ban_statistic(result)

    assert found.per_class == (0.25, 0.0, 0.75, 0.0)
    assert (found.value, found.leading_class) == (0.75, 2)
    assert found.unit == "share of predictions"


def test_an_empty_histogram_is_all_zeros() -> None:
    """No prediction at all divides by nothing."""
    result = BanResult(predictions=np.zeros(4, np.int64), share=0.0, accuracy=0.0)

    assert ban_statistic(result).per_class == (0.0, 0.0, 0.0, 0.0)


def test_noise_and_mask_are_told_as_what_each_class_gains() -> None:
    """Shares under noise, and with only masked features left, minus those of clean samples."""
    clean = PreconditionResult(
        logits=np.eye(5, dtype=np.float32).repeat(10, axis=0),
        clean_accuracy=1.0,
        covered_classes=5,
        reasons=(),
    )
    untargeted = UntargetedNoise(
        epsilon=0.1,
        scale=(np.zeros(2, np.float32),),
        shift=(np.zeros(2, np.float32),),
        loss=np.zeros(3, np.float32),
        predictions=np.array([50, 0, 0, 0, 0], np.int64),
        accuracy=0.2,
    )
    mask = MaskResult(
        mask=np.ones(2, np.float32),
        benign_loss=np.zeros(2, np.float32),
        other_loss=np.zeros(2, np.float32),
        benign_accuracy=1.0,
        predictions=np.array([1, 1, 1, 1, 6], np.int64),
    )

    noise, masked = masked_statistics(clean, untargeted, mask)

    assert (noise.name, masked.name) == ("untargeted_noise", "feature_mask")
    assert noise.per_class == pytest.approx((0.8, -0.2, -0.2, -0.2, -0.2))
    assert masked.per_class == pytest.approx((-0.1, -0.1, -0.1, -0.1, 0.4))
    assert (noise.leading_class, masked.leading_class) == (0, 4)
