"""From what the searches say of each class to one score per class, and its p-value.

With v a margin per class, a class stands out by

    z = (v − median v) / √(MAD² + s²),

where MAD is the scaled median absolute deviation over the classes, and s how far the classes of
a rather uneven clean model lie apart. A class's score is (Σ w·z₊³)^⅓ over the searches, with
z₊ = max(z, 0): what one search is blind to does not count against the others, and many that say a
little do not add up to one that says much, as they do for natural favourites. Against clean
references half of the same of v − v_reference is added, which sinks those further. The largest
score of clean models follows a Gumbel distribution, whose values grow with the number of classes K,
so that

    p = 1 − exp(−exp(−x)),   x = (score / g − location) / scale,   g = max(1, K / 10)^0.45.

Source: outliers by median absolute deviation as in Neural Cleanse; the floor s, the union, the
references and the null are ours (docs/method.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stages.errors import ConfigError
from stages.types import ClassProfile, Floats

SCALED = 1.4826
"""Makes the median absolute deviation of normal values their standard deviation."""
SEARCHES = ("blend", "sure_blend", "strong_blend", "patch", "warp", "noise")
"""The fields of a class profile that are scored."""
CALIBRATED_CLASSES = 10
"""Classes of the models that the nulls come from."""
GROWTH = 0.45
"""Power of the number of classes that the largest score grows with.

Source: `python -m benchmarks.many_classes`; log(K), as of a Gumbel alone, is too little.
"""


@dataclass(frozen=True, kw_only=True)
class Null:
    """The largest score among clean models of ten classes: a Gumbel distribution."""

    location: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How far classes of clean models lie apart. Source: `python -m benchmarks.calibration`."""

    weights: tuple[float, ...] = (2.0, 0.25, 0.0, 1.0, 1.0, 0.15)
    """w of each of `SEARCHES`; strong patterns tell the power of a scan, not a backdoor. Chosen on
    tuning and calibration models."""
    spreads: tuple[float, ...] = (0.458, 1.088, 1.003, 1.096, 0.645, 0.395)
    """s of each of `SEARCHES`, for a model by itself."""
    gaps: tuple[float, ...] = (0.374, 0.903, 1.043, 1.339, 0.708, 0.459)
    """s of each of `SEARCHES`, for a model's values minus a reference's."""
    against: float = 0.5
    """Weight of what stands out against references. Chosen on the tuning models."""
    alone_location: float = 0.893
    """Location of the null of a model by itself."""
    alone_scale: float = 0.268
    """Scale of the null of a model by itself."""
    referenced_location: float = 1.23
    """Location of the null with one reference; with more, p errs to the safe side."""
    referenced_scale: float = 0.392
    """Scale of the null with one reference."""

    def __post_init__(self) -> None:
        for name in ("weights", "spreads", "gaps"):
            values = getattr(self, name)
            if len(values) != len(SEARCHES) or min(values) < 0:
                raise ConfigError(
                    f"setting `score.{name}` is {list(values)}, expected {len(SEARCHES)} numbers"
                    f" of 0 or more, for {', '.join(SEARCHES)}"
                )
        for name in ("alone_scale", "referenced_scale"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"setting `score.{name}` is {getattr(self, name)}, expected more than 0"
                )

    @property
    def alone(self) -> Null:
        """The largest score without references."""
        return Null(location=self.alone_location, scale=self.alone_scale)

    @property
    def referenced(self) -> Null:
        """The largest score with references."""
        return Null(location=self.referenced_location, scale=self.referenced_scale)


def values_of(profile: ClassProfile) -> Floats:
    """What each of `SEARCHES` says of every class: (searches, K)."""
    return np.stack([getattr(profile, name) for name in SEARCHES])


def standing_out(values: Floats, spread: float) -> Floats:
    """z (K,) of values (K,): how far each class lies above the median one."""
    away = values - np.median(values)
    deviation = SCALED * np.median(np.abs(away))
    usual = max(float(np.hypot(deviation, spread)), 1e-6)
    found: Floats = (away / usual).astype(np.float32)
    return found


def scores(
    profile: ClassProfile, references: tuple[ClassProfile, ...], config: ScoreConfig
) -> Floats:
    """The score (K,) of every class, by itself and against references where there are any."""
    found = scores_alone(profile, config)
    if not references:
        return found
    beside: Floats = found + config.against * scores_against(profile, references, config)
    return beside


def scores_alone(profile: ClassProfile, config: ScoreConfig) -> Floats:
    """The score (K,) of every class of a model by itself."""
    return _union(values_of(profile), config.spreads, config.weights)


def scores_against(
    profile: ClassProfile, references: tuple[ClassProfile, ...], config: ScoreConfig
) -> Floats:
    """How far every class (K,) stands out against the mean of the references."""
    usual = np.mean([values_of(each) for each in references], axis=0)
    return _union(values_of(profile) - usual, config.gaps, config.weights)


def _union(values: Floats, spreads: tuple[float, ...], weights: tuple[float, ...]) -> Floats:
    """(Σ w·z₊³)^⅓ (K,) of the positive parts of what each search says (searches, K)."""
    parts = [
        weight * np.maximum(standing_out(each, spread), 0) ** 3
        for each, spread, weight in zip(values, spreads, weights, strict=True)
    ]
    found: Floats = np.cbrt(np.sum(parts, axis=0)).astype(np.float32)
    return found


def p_value(score: float, null: Null, classes: int) -> float:
    """How often the largest score of a clean model of so many classes is this large, in (0, 1]."""
    away = (score / growth(classes) - null.location) / null.scale
    return max(-math.expm1(-math.exp(min(-away, 700.0))), 1e-300)


def limit(rate: float, null: Null, classes: int) -> float:
    """The score whose p-value is `rate`, in (0, 1): the inverse of `p_value`."""
    away = -math.log(-math.log1p(-rate))
    return growth(classes) * (null.location + null.scale * away)


def growth(classes: int) -> float:
    """How many times larger the largest score of so many classes is than that of ten.

    Fewer than ten have no smaller one, as none were measured.
    """
    return float(max(1.0, classes / CALIBRATED_CLASSES) ** GROWTH)
