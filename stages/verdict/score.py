"""From what the searches say of each class to one anomaly score per class, and its p-value.

1. How far a class stands out in one statistic, in the model's own terms:

       z = (v − median v) / √(MAD² + d²),

   where median and scaled MAD are over the ordinary classes, and d is the MAD of the usual clean
   model. A statistic of the whole model is measured against clean models' median instead.
2. How unlikely that is of a class of a clean model, by the statistic's own tail: u = P(Z ≥ z), and
   as a normal score, g = Φ⁻¹(1 − u), 0 where z is not above 0. A statistic of the whole model is
   one value per model, so that z is a normal score itself; it counts where it is above 0, which
   says that each class does go to another. A faint pattern counts as far as it goes beyond what
   carries all samples to the median class: where any class is reached so, permutations are too.
3. The anomaly score of a class is √Σ g² over the statistics: all have an equal say, what one search
   is blind to does not count against the others, and a heavy tail is worth little. What clean
   models reach as often by themselves counts only beside references.
4. Beside clean references a statistic counts by the smaller of its g and that of v − v_reference: a
   planted class stands out both ways, a natural one by itself, chance against one reference.
5. Among two or three classes none can stand out from the others, so such a model has scores beside
   references only. There z = (v − v_reference) / d: by how much, not against the other classes, as
   a model whose every class is easier to reach than the reference's is no usual one either.
6. The square of the largest score of clean models, a largest sum of squares, follows a Gumbel
   distribution, which K, the number of classes, moves:

       p = 1 − exp(−exp(−x)),   x = (score² − location − growth · ln(K/10)) / scale.

   Beyond the numbers of classes that were measured, growth is the scale at least: so the largest of
   classes that are independent grows, and those of a model hardly grow faster.

Source: outliers by median absolute deviation as in Neural Cleanse; the maximum of n values of a
Gumbel distribution is one whose location is larger by scale · ln n; the rest is ours
(docs/method.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.special import ndtri

from stages.searches import SPECS
from stages.types import Floats
from stages.verdict.calibration import Calibration, Null, Tail
from stages.verdict.profile import ClassProfile

SCALED = 1.4826
"""Makes the median absolute deviation of normal values their standard deviation."""
UPPER = 0.1
"""The share of clean classes that lies in the tail that is fitted."""
SHAPE = 0.1
"""ξ of the generalised Pareto distribution of a tail, whose mean excess is the tail's scale: above
0, so that what was never seen is not said to be impossible. The tails of clean models fit best by
−0.2 to 0.1 (`benchmarks.calibration` prints them); chosen on tuning and calibration models.
"""
CLASSES = 10
"""The number of classes at which a null's location is given."""


def anomaly_index(values: Floats, ordinary: Floats, least: float) -> Floats:
    """z (K,) of values (K,): how far each class lies above the median of the ordinary (m,)."""
    middle = np.median(ordinary)
    deviation = SCALED * np.median(np.abs(ordinary - middle))
    spread = max(math.hypot(float(deviation), least), 1e-6)
    index: Floats = ((values - middle) / spread).astype(np.float32)
    return index


def normal_score(index: Floats, tail: Tail) -> Floats:
    """g (K,) of anomaly indices (K,), which may be NaN: 0 at 0, and what the tail says above."""
    known = np.maximum(np.nan_to_num(np.asarray(index, np.float64)), 0.0)
    below = 0.5 * (UPPER / 0.5) ** (known / tail.upper)
    beyond = np.maximum(known - tail.upper, 0.0) * (1 - SHAPE) / tail.scale
    above = UPPER * (1 + SHAPE * beyond) ** (-1 / SHAPE)
    share = np.where(known < tail.upper, below, np.maximum(above, 1e-300))
    score: Floats = (0.0 - ndtri(share)).astype(np.float32)
    return score


def scores(
    profile: ClassProfile,
    references: tuple[ClassProfile, ...],
    calibration: Calibration,
    names: Iterable[str] | None = None,
) -> Floats:
    """The anomaly score (K,) of every class, by itself or beside references: of some statistics, or
    of all whose null is known.

    Raises:
        ConfigError: a statistic has no row in the calibration.
    """
    if names is None:
        names = of_known_nulls(profile, references, calibration)
    squares = [evidence(name, profile, references, calibration) ** 2 for name in names]
    joined: Floats = np.sqrt(np.sum(squares, axis=0)).astype(np.float32)
    return joined


def of_known_nulls(
    profile: ClassProfile, references: tuple[ClassProfile, ...], calibration: Calibration
) -> list[str]:
    """The statistics of a profile that tell how unlikely it is of a clean model: not those that do
    so `only_beside` references where there are none.

    The fewer the classes, the easier one trigger turns each into another, so what is said of the
    whole model tells nothing below the fewest that it was fitted on, unless beside a reference, and
    of two or three classes nothing at all.
    """
    fewer = profile.classes < calibration.range.fewest_fitted
    unknown = calibration.is_few(profile.classes) or (fewer and not references)
    return [
        name
        for name in profile.statistics
        if not (unknown and SPECS[name].whole) and (references or not SPECS[name].only_beside)
    ]


def evidence(
    name: str,
    profile: ClassProfile,
    references: tuple[ClassProfile, ...],
    calibration: Calibration,
) -> Floats:
    """g (K,) of one statistic: by itself, or the smaller of that and of the difference from the
    mean of the references; of a model of few classes that of the difference as it is.
    """
    row = calibration.row(name)
    if calibration.is_few(profile.classes):
        return normal_score(_measured_by(row.few, _values(name, profile, references)), row.few)
    alone = _normal_scores(name, profile, (), row.alone)
    if not references:
        return alone
    smaller: Floats = np.minimum(alone, _normal_scores(name, profile, references, row.referenced))
    return smaller


def _normal_scores(
    name: str, profile: ClassProfile, references: tuple[ClassProfile, ...], tail: Tail
) -> Floats:
    """g (K,) of a statistic, or of its difference from the references."""
    index = index_of(name, profile, references, tail)
    if not SPECS[name].whole:
        return normal_score(index, tail)
    carried: Floats = np.where(own_values(name, profile) > 0, np.maximum(index, 0), 0)
    return carried.astype(np.float32)


def index_of(
    name: str, profile: ClassProfile, references: tuple[ClassProfile, ...], tail: Tail
) -> Floats:
    """z (K,) of a statistic, or of its difference from the references' mean, NaN where unknown."""
    values = _values(name, profile, references)
    if SPECS[name].whole:
        return _measured_by(tail, values)
    ordinary = _of_ordinary(values, profile)
    if not len(ordinary):
        return np.full(len(values), np.nan, np.float32)
    return anomaly_index(values, ordinary, tail.least)


def _values(name: str, profile: ClassProfile, references: tuple[ClassProfile, ...]) -> Floats:
    """The values (K,) of a statistic, or their differences from the references' mean."""
    values = own_values(name, profile)
    if not references:
        return values
    difference: Floats = values - np.mean([own_values(name, each) for each in references], axis=0)
    return difference


def own_values(name: str, profile: ClassProfile) -> Floats:
    """The values (K,) of a statistic, as far as they go beyond the median class where it is one
    that does; NaN while what is said of that class is not known.
    """
    values, beyond = profile.statistics[name], SPECS[name].beyond
    if beyond is None:
        return values
    unknown = np.full_like(values, np.nan)
    usual = _of_ordinary(profile.statistics.get(beyond, unknown), profile)
    if not len(usual):
        return unknown
    further: Floats = (values - max(float(np.median(usual)), 0.0)).astype(np.float32)
    return further


def _of_ordinary(values: Floats, profile: ClassProfile) -> Floats:
    """Those of values (K,) that are known of the ordinary classes (m,)."""
    ordinary = values[profile.ordinary]
    known: Floats = ordinary[~np.isnan(ordinary)]
    return known


def _measured_by(tail: Tail, values: Floats) -> Floats:
    """z (K,) of values that are measured against clean models, not against other classes."""
    index: Floats = ((values - tail.centre) / max(tail.least, 1e-6)).astype(np.float32)
    return index


def null_of(calibration: Calibration, classes: int, *, referenced: bool) -> Null:
    """The null with or without references; with several, p errs to the safe side."""
    if calibration.is_few(classes):
        return calibration.few
    return calibration.referenced if referenced else calibration.alone


def p_value(score: float, null: Null, classes: int) -> float:
    """How often the largest score of a clean model of so many classes is this large, in (0, 1], by
    the null alone. Far out the null is an extrapolation: what is printed is `printable_p`.
    """
    away = (score**2 - location_of(null, classes)) / null.scale
    return max(-math.expm1(-math.exp(min(-away, 700.0))), 1e-300)


def printable_p(p: float, null: Null) -> tuple[float, bool]:
    """The p-value that the null's models carry, and whether it is only a bound on the true one."""
    return (null.smallest_p, True) if p < null.smallest_p else (p, False)


def critical_value(rate: float, null: Null, classes: int) -> float:
    """The score whose p-value is `rate`, in (0, 1): the inverse of `p_value`."""
    away = -math.log(-math.log1p(-rate))
    return math.sqrt(max(location_of(null, classes) + null.scale * away, 0.0))


def location_of(null: Null, classes: int) -> float:
    """Where the square of the largest score of clean models of so many classes usually lies.

    Fewer than ten have no smaller one, as nothing was fitted on them; more than were measured have
    one that is not too small.
    """
    measured = math.log(max(1.0, min(classes, null.up_to) / CLASSES))
    beyond = math.log(max(1.0, classes / max(null.up_to, CLASSES)))
    return null.location + null.growth * measured + max(null.growth, null.scale) * beyond
