"""From what the searches say of each class to one anomaly score per class, and its p-value.

The anomaly index of a class with value v of a statistic is

    z = (v − median v) / √(MAD² + s²),

where MAD is the scaled median absolute deviation over the classes, and s how far the classes of
a rather uneven clean model lie apart. A class's anomaly score is (Σ w·z₊³)^⅓ over the statistics,
with z₊ = max(z, 0): what one search is blind to does not count against the others, and many that
say a little do not add up to one that says much, as they do for natural backdoor classes. Against
clean references half of the same of v − v_reference is added, which lowers those further. The
largest score of clean models follows a Gumbel distribution, whose values grow with the number of
classes K, so that

    p = 1 − exp(−exp(−x)),   x = (score / g − location) / scale,   g = max(1, K / 10)^0.45.

Source: outliers by median absolute deviation as in Neural Cleanse; the floor s, the union, the
references and the null are ours (docs/method.md).
"""

from __future__ import annotations

import math

import numpy as np

from stages.types import Floats
from stages.verdict.calibration import Calibration, Null
from stages.verdict.profile import ClassProfile

SCALED = 1.4826
"""Makes the median absolute deviation of normal values their standard deviation."""


def anomaly_index(values: Floats, spread: float) -> Floats:
    """z (K,) of values (K,): how far each class lies above the median one."""
    away = values - np.median(values)
    deviation = SCALED * np.median(np.abs(away))
    usual = max(float(np.hypot(deviation, spread)), 1e-6)
    index: Floats = (away / usual).astype(np.float32)
    return index


def scores(
    profile: ClassProfile, references: tuple[ClassProfile, ...], calibration: Calibration
) -> Floats:
    """The anomaly score (K,) of every class, by itself and against references where there are any.

    Raises:
        ConfigError: a statistic has no row in the calibration.
    """
    alone = scores_alone(profile, calibration)
    if not references:
        return alone
    against = scores_against(profile, references, calibration)
    both: Floats = alone + calibration.shared.reference_weight * against
    return both


def scores_alone(profile: ClassProfile, calibration: Calibration) -> Floats:
    """The score (K,) of every class of a model by itself."""
    statistics = profile.statistics
    rows = {name: calibration.row(name) for name in statistics}
    return _joined(
        [
            _cubed(values, rows[name].spread, rows[name].weight)
            for name, values in statistics.items()
        ]
    )


def scores_against(
    profile: ClassProfile, references: tuple[ClassProfile, ...], calibration: Calibration
) -> Floats:
    """How far every class (K,) stands out against the mean of the references."""
    parts = []
    for name, values in profile.statistics.items():
        row = calibration.row(name)
        difference = values - np.mean([each.statistics[name] for each in references], axis=0)
        parts.append(_cubed(difference, row.gap, row.weight))
    return _joined(parts)


def _cubed(values: Floats, spread: float, weight: float) -> Floats:
    """w·z₊³ (K,) of values (K,)."""
    cubes: Floats = (weight * np.maximum(anomaly_index(values, spread), 0) ** 3).astype(np.float32)
    return cubes


def _joined(cubes: list[Floats]) -> Floats:
    """The cube root (K,) of the sum of weighted cubes (K,), one for each statistic."""
    joined: Floats = np.cbrt(np.sum(cubes, axis=0)).astype(np.float32)
    return joined


def null_of(calibration: Calibration, referenced: bool) -> Null:
    """The null with or without references; with several, p errs to the safe side."""
    return calibration.referenced if referenced else calibration.alone


def p_value(score: float, null: Null, growth: float) -> float:
    """How often the largest score of a clean model is this large, in (0, 1], by the null alone.

    `growth` is that of the model's number of classes. Far out the null is an extrapolation: what
    is printed is `printable_p`.
    """
    away = (score / growth - null.location) / null.scale
    return max(-math.expm1(-math.exp(min(-away, 700.0))), 1e-300)


def printable_p(p: float, null: Null) -> tuple[float, bool]:
    """The p-value that the null's models carry, and whether it is only a bound on the true one."""
    return (null.smallest_p, True) if p < null.smallest_p else (p, False)


def critical_value(rate: float, null: Null, growth: float) -> float:
    """The score whose p-value is `rate`, in (0, 1): the inverse of `p_value`."""
    away = -math.log(-math.log1p(-rate))
    return growth * (null.location + null.scale * away)


def growth_of(classes: int, calibration: Calibration) -> float:
    """How many times larger the largest score of so many classes is than that of ten.

    Fewer than ten have no smaller one, as none were measured.
    """
    shared = calibration.shared
    return float(max(1.0, classes / shared.classes) ** shared.growth)
