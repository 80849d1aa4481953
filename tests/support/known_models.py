"""Models of known truth with made-up class profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.profiles import Known
from benchmarks.zoo.recipe import CLEAN
from stages.searches import STATISTICS
from stages.types import Floats
from stages.verdict.profile import ClassProfile


def known_model(name: str, statistics: Mapping[str, Floats], attack: str = CLEAN) -> Known:
    """A model for digits with these statistics; an attack's target is class 3."""
    profile = ClassProfile(
        name=name, digest=name, samples="samples", clean_accuracy=0.97, statistics=statistics
    )
    return Known(
        name=name,
        task="digits",
        architecture="vgg",
        attack=attack,
        target=None if attack == CLEAN else 3,
        profile=profile,
    )


def clean_models(
    count: int, *, seed: int = 0, statistics: Sequence[str] = STATISTICS
) -> list[Known]:
    """Clean models of ten classes, whose statistics are drawn from a normal distribution."""
    random = np.random.default_rng(seed)
    return [
        known_model(
            f"clean-{seed}-{number}",
            {name: random.normal(1, 0.5, 10).astype(np.float32) for name in statistics},
        )
        for number in range(count)
    ]
